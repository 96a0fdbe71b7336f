"""When learning-rate schedulers step, and what rates they leave."""

from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer, lr_scheduler

from stepscope.evidence.optimizers import ScheduleStep
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, running_line


def rates(optimizer: Optimizer) -> tuple[float, ...]:
    """Return the learning rate of each group; nan where the optimizer finds its own."""
    return tuple(as_number(group.get("lr")) for group in optimizer.param_groups)


def as_number(value: object) -> float:
    """Return a setting as a number: optimizers take tensors too, and some leave it None."""
    if isinstance(value, torch.Tensor):
        return float(value) if value.numel() == 1 and not value.is_meta else float("nan")
    return float(value) if isinstance(value, int | float) else float("nan")


def unwrapped(optimizer: Any) -> Any:
    """Return the optimizer that does the work, where Accelerate has put its own around it."""
    return getattr(optimizer, "optimizer", optimizer)


class ScheduleHistory:
    """Every outermost call of a torch scheduler's `step`, but for the one inside its making."""

    def __init__(self, run: LiveRun, steps_taken: Callable[[Optimizer], int]) -> None:
        self.steps: list[ScheduleStep] = []
        self._run = run
        self._steps_taken = steps_taken
        self._inside = False
        for kind in vars(lr_scheduler).values():
            if isinstance(kind, type) and "step" in vars(kind) and kind is not Optimizer:
                run.patch(kind, "step", self._around_step)

    def _around_step(self, step: Any) -> Any:
        def observed(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            if self._inside or self._run.looking:
                return step(scheduler, *args, **kwargs)
            optimizer = unwrapped(getattr(scheduler, "optimizer", None))
            before = rates(optimizer) if isinstance(optimizer, Optimizer) else ()
            self._inside = True
            try:
                result = step(scheduler, *args, **kwargs)
            finally:
                self._inside = False
            if not getattr(scheduler, "_is_initial", False):
                self._keep(scheduler, optimizer, before)
            return result

        return observed

    def _keep(self, scheduler: Any, optimizer: Any, before: tuple[float, ...]) -> None:
        if any(optimizer is each for each in self._run.optimizers):
            self.steps.append(
                ScheduleStep(
                    scheduler=type(scheduler).__name__,
                    optimizer=self._run.index(optimizer),
                    after_step=self._steps_taken(optimizer),
                    lrs=rates(optimizer),
                    lrs_before=before,
                    at=running_line(PROGRAM),
                )
            )
