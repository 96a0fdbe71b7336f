"""`--help` says of every option what it means."""

from dataclasses import fields

import pytest

from stepscope_systems.rgbt_detection.config import (
    DataConfig,
    LossWeights,
    ModelConfig,
    OptimizerConfig,
    RunConfig,
)
from stepscope_systems.rgbt_detection.meanings import heading, meanings

SECTIONS = (ModelConfig, LossWeights, DataConfig, OptimizerConfig, RunConfig)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_has_a_meaning(section: type) -> None:
    assert meanings(section).keys() == {each.name for each in fields(section)}


def test_a_meaning_is_the_comment_beside_the_field() -> None:
    assert meanings(DataConfig)["flip"] == "probability"
    assert meanings(ModelConfig)["anchor_ratios"] == "height by width; people: 1 / 0.41"


def test_a_heading_is_a_sentence_without_its_end() -> None:
    assert heading(RunConfig) == "How long, where, and from what"
