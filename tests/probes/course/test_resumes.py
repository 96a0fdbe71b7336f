"""A load into an optimizer is told at once, and where its schedulers stand after the next step."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.resumes import OptimizerLoaded, ScheduleResumed
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.resumes import ResumeSampler


class Training:
    def __init__(self, *, scheduled: bool = True) -> None:
        self.net = nn.Linear(3, 2)
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=0.1)
        self.scheduler = lr_scheduler.StepLR(self.optimizer, 10) if scheduled else None

    def step(self, times: int = 1) -> None:
        for _ in range(times):
            self.optimizer.zero_grad()
            self.net(torch.ones(2, 3)).sum().backward()
            self.optimizer.step()
            if self.scheduler is not None:
                self.scheduler.step()


def told(program: Callable[[], object]) -> list[tuple[int, Any]]:
    lines: list[Line] = []
    pulse = Pulse([ResumeSampler], line=lines.append, every=1000)
    with pulse:
        program()
    assert not pulse.run.faults
    return [(line.step, each) for line in lines for each in line.happened]


@pytest.mark.parametrize("too", [True, False])
def test_a_resume_tells_what_was_loaded_and_where_the_schedule_stands(*, too: bool) -> None:
    before = Training()
    before.step(3)
    assert before.scheduler is not None
    position = before.scheduler.state_dict()

    def program() -> None:
        after = Training()
        after.optimizer.load_state_dict(before.optimizer.state_dict())
        if too:
            assert after.scheduler is not None
            after.scheduler.load_state_dict(position)
        after.step()

    (at, load), (step, said) = told(program)
    assert isinstance(load, OptimizerLoaded)
    assert isinstance(said, ScheduleResumed)
    assert (at, step) == (0, 0)
    assert (load.kind, load.steps) == ("AdamW", 3)
    assert (said.schedulers, said.loaded, said.furthest) == (("StepLR",), int(too), 3 * too)
    assert said.made_at.function == "Training.__init__"


def test_a_load_opens_a_window() -> None:
    assert OptimizerLoaded.opens_window


def test_a_state_without_moments_is_no_resume() -> None:
    def program() -> None:
        training = Training()
        training.optimizer.load_state_dict(Training().optimizer.state_dict())
        training.step()

    assert not told(program)


def test_a_run_without_a_scheduler_has_none_to_resume() -> None:
    before = Training(scheduled=False)
    before.step(2)

    def program() -> None:
        after = Training()
        after.optimizer.load_state_dict(before.optimizer.state_dict())
        after.step()

    assert [type(each) for _, each in told(program)] == [OptimizerLoaded]
