"""The part's share of a forward, against forwards of a known length."""

import time
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from stepscope.adapters.measuring.share import Share

TOLERANCE = 0.1


class Slow(nn.Module):
    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(self.seconds)
        return x * self.weight


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.part, self.rest = Slow(0.02), Slow(0.06)

    def forward(self, x: Tensor, *, again: bool = False) -> Tensor:
        inner: Any = checkpoint(self.part, x, use_reentrant=False) if again else self.part(x)
        return self.rest(inner)

    def training_step(self, x: Tensor) -> Tensor:
        return self.rest(self.part(x))


def test_the_share_is_that_of_the_time() -> None:
    model = Model()
    share = Share(model, [model.part])
    model(torch.ones(1))
    assert share.value == pytest.approx(0.25, abs=TOLERANCE)
    assert share.is_prefix


def test_a_model_whose_own_forward_is_not_used_has_the_same_share() -> None:
    model = Model()
    share = Share(model, [model.part])
    model.training_step(torch.ones(1))
    assert share.value == pytest.approx(0.25, abs=TOLERANCE)


def test_a_forward_that_the_backward_runs_again_does_not_count() -> None:
    model = Model()
    share = Share(model, [model.part])
    loss = model(torch.ones(1), again=True)
    before = share.value
    loss.backward()
    assert share.value == before > 0


def test_a_part_after_something_trainable_is_no_prefix() -> None:
    model = Model()
    share = Share(model, [model.rest])
    model(torch.ones(1))
    assert not share.is_prefix
    assert share.value == pytest.approx(0.75, abs=TOLERANCE)


def test_a_closed_share_leaves_no_hooks() -> None:
    model = Model()
    Share(model, [model.part]).close()
    assert not any(each._forward_hooks or each._forward_pre_hooks for each in model.modules())
