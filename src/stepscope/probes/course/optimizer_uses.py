"""Which optimizers step, and which only collect gradients."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim import optimizer as optimizer_hooks

from stepscope.evidence.course.optimizer_uses import OptimizerMade
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "optimizer use"
MOST = 32  # optimizers that are followed: some programs make one for each batch


class OptimizerUseSampler(Sampler):
    """Counts backwards and steps, and looks at the gradients of optimizers that never step."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._backwards = 0
        self._steps: dict[int, int] = {}  # by number of the optimizer
        run.patch(torch.autograd, "backward", self._around_backward)
        run.patch(Optimizer, "__init__", self._around_making)
        handle = optimizer_hooks.register_optimizer_step_post_hook(self._after_step)
        run.on_end(handle.remove)

    def _around_backward(self, backward: Callable[..., None]) -> Callable[..., None]:
        def observed(*args: Any, **kwargs: Any) -> None:
            if not self.run.looking:
                self._backwards += 1
            backward(*args, **kwargs)

        return observed

    def _around_making(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            make(optimizer, *args, **kwargs)
            if self._lookout.is_open():
                with self._lookout.looking():
                    self._made(optimizer)

        return observed

    def _made(self, optimizer: Optimizer) -> None:
        number = self.run.index(optimizer)
        if number >= MOST:
            return
        self._steps[number] = 0
        kind = type(optimizer).__name__
        self.notes.happen(OptimizerMade(number=number, kind=kind, at=running_line(PROGRAM)))

    def _after_step(self, optimizer: Optimizer, *_: Any) -> None:
        if not self.run.looking:
            number = self.run.index(optimizer)
            if number < MOST:
                self._steps[number] = self._steps.get(number, 0) + 1

    def gradients_ready(self, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Note what the optimizers that never stepped have, while all gradients are there."""
        live = self.run.optimizers[:MOST]
        idle = [each for each in live if self._steps.get(self.run.index(each)) == 0]
        for each in idle if any(self._steps.values()) else ():
            elsewhere = {
                id(p) for other in self.run.optimizers if other is not each for p in _of(other)
            }
            own = [p for p in _of(each) if id(p) not in elsewhere]
            number = self.run.index(each)
            self.notes.number(SUBJECT, f"{number}.parameters", len(own))
            self.notes.number(SUBJECT, f"{number}.fed", sum(p.grad is not None for p in own))

    def step_over(self) -> None:
        """Note the counts, at sampled steps."""
        if self.notes.is_sampled:
            self._note()

    def ended(self) -> None:
        """Note the counts of the whole run."""
        self._note()

    def _note(self) -> None:
        if self._backwards:
            self.notes.number(SUBJECT, "backwards", self._backwards)
        for number, steps in self._steps.items():
            self.notes.number(SUBJECT, f"{number}.steps", steps)


def _of(optimizer: Optimizer) -> list[torch.Tensor]:
    return [tensor for group in optimizer.param_groups for tensor in group["params"]]
