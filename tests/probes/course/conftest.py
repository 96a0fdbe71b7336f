"""A small loop under a pulse, and a sampler that writes down what it is told."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.pulse import MOMENTS, Pulse
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun


class Loop:
    """One layer and its optimizer."""

    def __init__(self, lr: float = 0.1) -> None:
        self.model = torch.nn.Sequential(torch.nn.Linear(2, 1))
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=lr)

    def loss(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss: torch.Tensor = self.model(torch.ones(1, 2)).sum()
        loss.backward()
        return loss

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.loss()
            self.optimizer.step()


@dataclass
class Told:
    """What a pulse told."""

    moments: list[tuple[int, str]] = field(default_factory=list)  # and the step of each
    lines: list[Line] = field(default_factory=list)
    steps: list[int] = field(default_factory=list)

    def of(self, step: int) -> list[str]:
        return [moment for at, moment in self.moments if at == step]


Listen = Callable[..., tuple[Pulse, Told]]


@pytest.fixture
def listen() -> Iterator[Listen]:
    """Return a function that opens a pulse with one sampler, which lists its moments."""
    opened: list[Pulse] = []

    def opens(**options: Any) -> tuple[Pulse, Told]:
        told = Told()

        def listed(moment: str) -> Callable[..., None]:
            return lambda sampler, *_: told.moments.append((sampler.run.step, moment))

        def make(run: LiveRun, notes: Notes) -> Sampler:
            kind = type("Listing", (Sampler,), {name: listed(name) for name in MOMENTS})
            sampler: Sampler = kind(run, notes)
            return sampler

        pulse = Pulse([make], line=told.lines.append, stepped=told.steps.append, **options)
        opened.append(pulse)
        pulse.__enter__()
        return pulse, told

    yield opens
    for pulse in opened:
        pulse.close()
