"""The moving average of the weights."""

import pytest
import torch
from lightning.pytorch.callbacks import EMAWeightAveraging
from torch import nn
from torch.optim.swa_utils import AveragedModel

from stepscope_systems.rgbt_detection.averaging import MovingAverage

pytestmark = pytest.mark.corpus


def averaged(callback: MovingAverage | EMAWeightAveraging, model: nn.Module) -> nn.Module:
    """Average a model that stands still over a hundred steps."""
    average = AveragedModel(model, use_buffers=False, **callback._kwargs)
    for _ in range(100):
        average.update_parameters(model)
    return average.module


@pytest.mark.parametrize("decay", [0.98, 0.999])
def test_the_average_of_what_stands_still_is_the_same_bits(decay: float) -> None:
    model = nn.Linear(64, 64)

    assert torch.equal(averaged(MovingAverage(decay), model).weight, model.weight)
    # Lightning's own average drifts.
    assert not torch.equal(
        averaged(EMAWeightAveraging(use_buffers=False, decay=decay), model).weight, model.weight
    )


def test_the_average_moves_by_its_share_of_each_step() -> None:
    model = nn.Linear(1, 1, bias=False)
    average = AveragedModel(model, use_buffers=False, **MovingAverage(0.9)._kwargs)
    expected = None
    for value in (1.0, 3.0, -2.0):
        model.weight.data.fill_(value)
        average.update_parameters(model)
        expected = value if expected is None else 0.9 * expected + 0.1 * value

    assert average.module.weight.item() == pytest.approx(expected)
