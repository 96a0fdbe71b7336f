"""Options that contradict each other are refused; the presets stand for what they say."""

import dataclasses
from typing import Any

import pytest

from stepscope_systems.rgbt_detection.config import PRESETS, ModelConfig, for_stage, nano, r50


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"macl": False}, "model.dhn needs model.macl"),
        ({"frozen_stages": -1}, "frozen_stages is -1; expected 0 to 5"),
        ({"frozen_stages": 6}, "frozen_stages is 6; expected 0 to 5"),
        ({"anchor_sizes": (32, 64)}, "anchor_sizes are 2; expected 5"),
        ({"mean": (0.5,) * 4}, "model.mean has 4 numbers; expected 6"),
        ({"deviation": (0.2,) * 7}, "model.deviation has 7 numbers; expected 6"),
    ],
)
def test_options_that_cannot_be_built_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**options)


@pytest.mark.parametrize("stages", [0, 5])
def test_none_or_all_of_the_body_may_be_frozen(stages: int) -> None:
    assert ModelConfig(frozen_stages=stages).frozen_stages == stages


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_stage_2_freezes_the_whole_body_and_asks_for_a_checkpoint(preset: str) -> None:
    config = for_stage(PRESETS[preset](), "stage2")
    assert config.model.frozen_stages == 5
    assert (config.run.init, config.run.checkpoint) == (None, None)


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_both_stages_of_a_preset_build_the_same_detector(preset: str) -> None:
    config = PRESETS[preset]()
    second = for_stage(config, "stage2").model
    assert dataclasses.replace(second, frozen_stages=config.model.frozen_stages) == config.model
    assert for_stage(config, "stage1") == config


def test_the_real_size_starts_from_imagenet_and_the_small_one_from_nothing() -> None:
    assert (r50().run.init, r50().model.body) == ("imagenet", "resnet50")
    assert (nano().run.init, nano().model.body) == ("scratch", "resnet10")
