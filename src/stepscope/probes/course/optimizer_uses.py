"""Which optimizers step, and which only collect gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer

from stepscope.evidence.course.optimizer_uses import OptimizerMade
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun, Made
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "optimizer use"
MOST = 32  # optimizers that are followed: some programs make one for each batch


class OptimizerUseSampler(Sampler):
    """Counts backwards and steps, and looks at the gradients of optimizers that never step."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._followed: dict[int, Made] = {}  # by number of the optimizer
        run.patch(Optimizer, "__init__", self._around_making)

    def _around_making(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            make(optimizer, *args, **kwargs)
            if self._lookout.is_open():
                with self._lookout.looking():
                    self._made(optimizer)

        return observed

    def _made(self, optimizer: Optimizer) -> None:
        made = self.run.optimizer_made(optimizer)
        if made.index >= MOST:
            return
        self._followed[made.index] = made
        kind = type(optimizer).__name__
        self.notes.happen(OptimizerMade(number=made.index, kind=kind, at=running_line(PROGRAM)))

    def gradients_ready(self, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Note what the optimizers that never stepped have, while all gradients are there."""
        followed = self._followed
        idle = [
            each
            for each in self.run.optimizers[:MOST]
            if (made := followed.get(self.run.index(each))) is not None and not made.steps
        ]
        for each in idle if self.run.optimizer_steps else ():
            elsewhere = {
                id(p) for other in self.run.optimizers if other is not each for p in _of(other)
            }
            own = [p for p in _of(each) if id(p) not in elsewhere]
            number = self.run.index(each)
            self.notes.number(SUBJECT, f"{number}.parameters", len(own))
            self.notes.number(SUBJECT, f"{number}.fed", sum(p.grad is not None for p in own))

    def step_over(self) -> None:
        """Note the counts, at sampled steps."""
        self._note()

    def ended(self) -> None:
        """Note the counts of the whole run."""
        self._note()

    def _note(self) -> None:
        if self.run.backwards:
            self.notes.number(SUBJECT, "backwards", self.run.backwards)
        for optimizer in self.run.optimizers:  # one that was there before may step, too
            made = self.run.optimizer_made(optimizer)
            if made.steps and made.index < MOST:
                self._followed[made.index] = made
        for number, made in self._followed.items():
            self.notes.number(SUBJECT, f"{number}.steps", made.steps)


def _of(optimizer: Optimizer) -> list[torch.Tensor]:
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]
