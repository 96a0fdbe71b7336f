"""How many steps `GradScaler` leaves out."""

import weakref
from collections.abc import Callable
from typing import Any

import torch

from stepscope.evidence.course.scaler import ScalerUsed
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.schedules import unwrapped
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "scaler"


class ScalerSampler(Sampler):
    """Counts the steps that a scaler was asked for, and those that it left out."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._known: weakref.WeakSet[Any] = weakref.WeakSet()
        self._scaler: weakref.ref[Any] | None = None
        self._asked = 0
        self._skipped: torch.Tensor | float = 0.0
        self._in_a_row: torch.Tensor | float = 0.0
        run.patch(torch.amp.GradScaler, "step", self._around_step)

    def _around_step(self, step: Callable[..., Any]) -> Callable[..., Any]:
        def observed(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            before = self.run.optimizer_steps
            result = step(scaler, optimizer, *args, **kwargs)
            if scaler.is_enabled() and self._lookout.is_open():
                with self._lookout.looking():
                    self._count(scaler, optimizer, is_stepped=self.run.optimizer_steps > before)
            return result

        return observed

    def _count(self, scaler: Any, optimizer: Any, *, is_stepped: bool) -> None:
        if scaler not in self._known:
            self._known.add(scaler)
            interval = int(scaler.get_growth_interval())
            self.notes.happen(ScalerUsed(growth_interval=interval, at=running_line(PROGRAM)))
        self._scaler = weakref.ref(scaler)
        self._asked += 1
        skipped = _found_inf(scaler, optimizer) if is_stepped else 1.0
        self._skipped = self._skipped + skipped
        self._in_a_row = (self._in_a_row + skipped) * skipped

    def step_over(self) -> None:
        """Note the counts, at sampled steps."""
        self._note()

    def ended(self) -> None:
        """Note the counts of the whole run."""
        self._note()

    def _note(self) -> None:
        if not self._asked:
            return
        self.notes.number(SUBJECT, "asked", self._asked)
        self.notes.number(SUBJECT, "skipped", self._skipped)
        self.notes.number(SUBJECT, "in a row", self._in_a_row)
        scaler = self._scaler() if self._scaler is not None else None
        scale = getattr(scaler, "_scale", None)  # its `get_scale` would wait for the device
        if scale is not None:
            self.notes.number(SUBJECT, "scale", scale)


def _found_inf(scaler: Any, optimizer: Any) -> torch.Tensor | float:
    """Return 1 if a step that was called has left everything as it was: fused ones do so."""
    inner = unwrapped(optimizer)
    if not getattr(inner, "_step_supports_amp_scaling", False):
        return 0.0
    flags: dict[torch.device, torch.Tensor] = scaler._per_optimizer_states[id(optimizer)][
        "found_inf_per_device"
    ]
    first = next(iter(flags.values()), None)  # of several devices, one stands for all
    return 0.0 if first is None else (first.detach() > 0).double().reshape(())
