"""Options that contradict each other are refused; the presets stand for what they say."""

import dataclasses
from typing import Any

import pytest

from stepscope_systems.rgbt_detection.config import (
    PRESETS,
    DataConfig,
    LossWeights,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
    for_stage,
    nano,
    r50,
)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"macl": False}, "model.dhn needs model.macl"),
        ({"frozen_stages": -1}, "frozen_stages is -1; expected 0 to 5"),
        ({"frozen_stages": 6}, "frozen_stages is 6; expected 0 to 5"),
        ({"anchor_sizes": (32, 64)}, "anchor_sizes are 2; expected 5"),
        ({"mean": (0.5,) * 4}, "model.mean has 4 numbers; expected 6"),
        ({"deviation": (0.2,) * 7}, "model.deviation has 7 numbers; expected 6"),
        ({"deviation": (0.2,) * 5 + (0.0,)}, "model.deviation is .*; expected above 0"),
        ({"anchor_ratios": ()}, "model.anchor_ratios is empty"),
        ({"channels": 0}, "model.channels is 0; expected 1 or more"),
        ({"queue": 0}, "model.queue is 0; expected 1 or more"),
        ({"momentum": 1.0}, "model.momentum is 1.0; expected 0 or more and below 1"),
        ({"shortest": 641}, "model.shortest is 641, above model.longest of 640"),
    ],
)
def test_options_that_cannot_be_built_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ModelConfig(**options)


@pytest.mark.parametrize(
    ("section", "options", "message"),
    [
        (LossWeights, {"macl": -0.1}, "loss.macl is -0.1; expected 0 or more"),
        (DataConfig, {"batch": 0}, "data.batch is 0; expected 1 or more"),
        (DataConfig, {"train_pairs": 0}, "data.train_pairs is 0; expected 1 or more"),
        (DataConfig, {"flip": 1.1}, "data.flip is 1.1; expected 0 to 1"),
        (DataConfig, {"scale": (0.0, 1.0)}, r"data.scale is \(0.0, 1.0\); expected above 0"),
        (DataConfig, {"scale": (1.2, 0.9)}, "expected the smaller zoom first"),
        (DataConfig, {"validation_share": 1.0}, "expected above 0 and below 1"),
        (OptimizerConfig, {"lr": 0.0}, "optimizer.lr is 0.0; expected above 0"),
        (OptimizerConfig, {"accumulate": 0}, "optimizer.accumulate is 0; expected 1 or more"),
        (OptimizerConfig, {"ema": 1.0}, "optimizer.ema is 1.0; expected 0 or more and below 1"),
        (RunConfig, {"epochs": 0}, "run.epochs is 0; expected 1 or more"),
        (RunConfig, {"devices": 0}, "run.devices is 0; expected 1 or more"),
        (RunConfig, {"threads": -1}, "run.threads is -1; expected 0 or more"),
        (RunConfig, {"seed": 2**32}, "run.seed is 4294967296; expected 0 to 4294967295"),
        (RunConfig, {"epochs": 2, "validate_every": 3}, "no best checkpoint chosen"),
    ],
)
def test_numbers_by_which_nothing_can_be_trained_are_refused(
    section: type, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        section(**options)


def test_the_last_epoch_may_be_the_only_one_that_is_validated() -> None:
    assert RunConfig(epochs=3, validate_every=3).validate_every == 3


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
