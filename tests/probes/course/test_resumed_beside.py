"""A resume tells of the scalers and random states that were resumed with the optimizer."""

import copy
import functools
import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.resumed_beside import ResumedBeside
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.resumed_beside import RANDOM, ResumedBesideSampler


class Training:
    def __init__(self) -> None:
        self.net = nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=0.1)
        self.scaler = torch.amp.GradScaler("cpu")

    def step(self) -> None:
        self.optimizer.zero_grad()
        self.scaler.scale(self.net(torch.ones(2, 3)).sum()).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()


@functools.cache
def saved() -> dict[str, Any]:
    """Train for three steps, and return the states of the optimizer and the scaler."""
    before = Training()
    for _ in range(3):
        before.step()
    return {"optimizer": before.optimizer.state_dict(), "scaler": before.scaler.state_dict()}


def told(program: Callable[[], object]) -> list[tuple[int, ResumedBeside]]:
    saved()  # while nobody watches
    lines: list[Line] = []
    pulse = Pulse([ResumedBesideSampler], line=lines.append, every=1000)
    with pulse:
        program()
    assert not pulse.run.faults
    return [
        (line.step, each)
        for line in lines
        for each in line.happened
        if isinstance(each, ResumedBeside)
    ]


def resume(*, scaler_too: bool) -> Training:
    after = Training()
    after.optimizer.load_state_dict(copy.deepcopy(saved()["optimizer"]))
    if scaler_too:
        after.scaler.load_state_dict(saved()["scaler"])
    after.step()
    return after


@pytest.mark.parametrize("too", [True, False])
def test_a_new_scaler_is_told_with_whether_it_was_given_a_state(*, too: bool) -> None:
    ((step, said),) = told(lambda: resume(scaler_too=too))
    assert (step, said.kind, said.steps) == (0, "AdamW", 3)
    assert (said.scalers, said.scalers_loaded) == (1, int(too))


def test_a_scaler_that_goes_on_is_not_new() -> None:
    def program() -> None:
        training = Training()
        for _ in range(3):
            training.step()
        moved = torch.optim.AdamW(training.net.parameters(), lr=0.1)
        moved.load_state_dict(training.optimizer.state_dict())
        training.optimizer = moved
        training.step()

    ((step, said),) = told(program)
    assert (step, said.scalers, said.random_restored) == (3, 0, None)


STATES: dict[str, Callable[[], Any]] = {
    "torch": lambda: torch.set_rng_state(torch.get_rng_state()),
    "numpy": lambda: np.random.set_state(np.random.get_state()),  # noqa: NPY002 - as programs do
    "python": lambda: random.setstate(random.getstate()),
}


@pytest.mark.parametrize("name", STATES)
def test_any_random_state_that_is_set_counts(name: str) -> None:
    def program() -> None:
        STATES[name]()
        resume(scaler_too=True)

    ((_, said),) = told(program)
    assert said.random_restored is True


def test_a_fork_of_torch_itself_sets_none() -> None:
    def program() -> None:
        with torch.random.fork_rng():
            torch.randn(2)
        resume(scaler_too=True)

    ((_, said),) = told(program)
    assert said.random_restored is False


def test_after_the_first_step_nothing_is_patched() -> None:
    before = [getattr(owner, name) for owner, name in RANDOM]
    during: list[Any] = []

    def program() -> None:
        Training().step()
        during.extend(getattr(owner, name) for owner, name in RANDOM)

    assert told(program) == []
    assert during == before
