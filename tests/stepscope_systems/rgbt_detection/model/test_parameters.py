"""How many parameters each part has: the figures that reports of this design state."""

import pytest
import torch
from torch import nn

from stepscope import freeze
from stepscope_systems.rgbt_detection.config import Config, ModelConfig
from stepscope_systems.rgbt_detection.model import Detector
from stepscope_systems.rgbt_detection.train import frozen_parts
from tests.stepscope_systems.rgbt_detection.model.small import detector

pytestmark = pytest.mark.corpus
MSP, MACL = 515, 49_729


def count(module: nn.Module | None) -> int:
    assert module is not None
    return sum(parameter.numel() for parameter in module.parameters())


def on_meta(config: ModelConfig) -> Detector:
    with torch.device("meta"):
        return Detector(config)


def test_each_part_of_the_real_size_has_the_parameters_that_are_stated() -> None:
    model = on_meta(ModelConfig())
    assert {name: count(part) for name, part in model.named_children()} == {
        "transform": 0,
        "body": 23_508_032,
        "fpn": 3_344_384,
        "msp": MSP,
        "rpn": 593_935,
        "roi_heads": 13_901_830,
        "alignment": MACL,
    }
    assert count(model) == 41_398_425


def test_a_box_regression_per_class_has_that_of_the_background_too() -> None:
    assert count(on_meta(ModelConfig(head="per-class"))) == 41_352_281 + MSP + MACL


@pytest.mark.parametrize(
    ("stages", "trainable"),
    [
        (0, 23_508_032),
        (1, 23_282_688),
        (2, 23_282_688 - 1_219_584),
        (3, 23_282_688 - 1_219_584 - 7_098_368),
        (4, 0),
        (5, 0),
    ],
)
def test_frozen_stages_leave_the_rest_of_the_body_trainable(stages: int, trainable: int) -> None:
    config = ModelConfig(frozen_stages=stages)
    holder = nn.Module()
    holder.detector = on_meta(config)
    if globs := frozen_parts(Config(model=config)):
        freeze(holder, *globs)
    free = [each for each in holder.detector.body.parameters() if each.requires_grad]
    assert sum(each.numel() for each in free) == trainable
    assert all(each.requires_grad for each in holder.detector.fpn.parameters())


@pytest.mark.parametrize(("norm", "expected"), [("bn", MACL), ("gn", MACL), ("none", MACL - 256)])
def test_the_projector_has_one_normalisation_or_none(norm: str, expected: int) -> None:
    assert count(on_meta(ModelConfig(macl_norm=norm)).alignment) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(("channels", "expected"), [(128, 259), (256, MSP), (512, 1_027)])
def test_gates_have_two_weights_a_channel_and_three_more(channels: int, expected: int) -> None:
    assert count(on_meta(ModelConfig(channels=channels)).msp) == expected


def test_what_is_switched_off_has_no_parameters() -> None:
    bare = on_meta(ModelConfig(msp=False, macl=False, dhn=False))
    assert count(bare) == 41_348_181
    assert (bare.msp, bare.alignment) == (None, None)


def test_the_queue_adds_tensors_to_the_checkpoint_and_no_parameter() -> None:
    without, with_queue = detector(dhn=False), detector(dhn=True)
    assert count(with_queue) == count(without)
    assert with_queue.state_dict().keys() > without.state_dict().keys()
