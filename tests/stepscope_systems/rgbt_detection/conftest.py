"""Two stages that are trained once, for all tests that look at what they leave."""

from dataclasses import replace
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def stage1(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a stage 1 of five epochs, the last of them spoilt; return its folder."""
    from stepscope_systems.rgbt_detection.train import train
    from tests.stepscope_systems.rgbt_detection.tiny_runs import Spoilt, tiny

    config = tiny(tmp_path_factory.mktemp("runs"), epochs=5)
    optimizer = replace(config.optimizer, lr=4e-3, ema=0.0)
    return train(replace(config, optimizer=optimizer), "stage1", watchers=[Spoilt()])


@pytest.fixture(scope="session")
def stage2(stage1: Path) -> Path:
    """Carry it over to the second domain, with an average of the weights; return its folder."""
    from stepscope_systems.rgbt_detection.train import train
    from tests.stepscope_systems.rgbt_detection.tiny_runs import tiny

    config = tiny(stage1.parent, "stage2", epochs=2, checkpoint=str(stage1 / "best.ckpt"))
    optimizer = replace(config.optimizer, lr=4e-3, ema=0.9)
    return train(replace(config, optimizer=optimizer), "stage2")
