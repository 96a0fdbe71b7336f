"""What an optimizer trains is watched until it moves."""

from collections.abc import Callable

import pytest
import torch

from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.unmoved import Unmoved
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.unmoved import UnmovedSampler


def train(
    undo: tuple[str, ...], *, steps: int = 21, rate: Callable[[int], float] = lambda _: 0.1
) -> list[Happening]:
    """Train two layers; the old values of what `undo` names are written back after each step."""
    lines: list[Line] = []
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
    kept = {name: p.detach().clone() for name, p in model.named_parameters() if name in undo}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pulse([UnmovedSampler], line=lines.append, every=1):
        for step in range(steps):
            optimizer.param_groups[0]["lr"] = rate(step)
            optimizer.zero_grad()
            model(torch.ones(2, 4)).square().mean().backward()
            optimizer.step()
            with torch.no_grad():
                for name, value in kept.items():
                    model.get_parameter(name).copy_(value)
    return [each for line in lines for each in line.happened]


def test_what_is_put_back_is_told_of_once() -> None:
    (found,) = train(("0.weight",), steps=41)
    assert isinstance(found, Unmoved)
    assert [each.name for each in found.parameters] == ["0.weight"]
    assert (found.since, found.until) == (0, 20)
    assert found.parameters[0].lr == pytest.approx(0.1)
    assert 0 < found.parameters[0].coarsest < 1e-6


def test_four_intervals_are_needed() -> None:
    assert train(("0.weight",), steps=20) == []


def test_nothing_is_said_where_all_moves_or_nothing_does() -> None:
    everything = ("0.weight", "0.bias", "1.weight", "1.bias")
    assert train(()) == train(everything) == []


def test_an_interval_that_began_with_lr_0_does_not_count() -> None:
    assert train(("0.weight",), rate=lambda step: 0.1 * (step > 0)) == []
    (found,) = train(("0.weight",), steps=31, rate=lambda step: 0.1 * (step > 0))
    assert isinstance(found, Unmoved)
    assert found.until == 30
