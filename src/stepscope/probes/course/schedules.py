"""Where the learning-rate schedulers stand."""

import weakref
from collections.abc import Callable
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from stepscope.core import Place
from stepscope.evidence.course.schedules import ScheduleBegan
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.schedule_shapes import shape_of
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.schedules import unwrapped
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "schedule"
MOST = 32  # schedulers that are followed
MAKES = (
    lr_scheduler.LRScheduler,
    lr_scheduler.SequentialLR,
    lr_scheduler.ChainedScheduler,
    lr_scheduler.ReduceLROnPlateau,
)


class ScheduleSampler(Sampler):
    """Describes each scheduler at the first step that the program asks it for, and follows it.

    A scheduler that another one steps is a part of that one.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._inside = False
        self._made: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()
        self._numbers: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._positions: dict[int, int] = {}  # by number: a scheduler may die before the run ends
        for kind in MAKES:
            run.patch(kind, "__init__", self._around_making)
        for kind in vars(lr_scheduler).values():
            if isinstance(kind, type) and "step" in vars(kind) and kind is not Optimizer:
                run.patch(kind, "step", self._around_step)

    def _around_making(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            make(scheduler, *args, **kwargs)
            if self._lookout.is_open():
                self._made[scheduler] = running_line(PROGRAM)

        return observed

    def _around_step(self, step: Callable[..., None]) -> Callable[..., None]:
        def observed(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            if self._inside:
                step(scheduler, *args, **kwargs)
                return
            if scheduler not in self._numbers and not getattr(scheduler, "_is_initial", False):
                self._begin(scheduler)
            self._inside = True
            try:
                step(scheduler, *args, **kwargs)
            finally:
                self._inside = False
            number = self._numbers.get(scheduler)
            if number is not None:
                self._positions[number] = _position(scheduler)

        return observed

    def _begin(self, scheduler: Any) -> None:
        optimizer = unwrapped(getattr(scheduler, "optimizer", None))
        if not isinstance(optimizer, Optimizer) or len(self._positions) == MOST:
            return
        if not self._lookout.is_open():
            return
        with self._lookout.looking():
            self._describe(scheduler, optimizer)

    def _describe(self, scheduler: Any, optimizer: Optimizer) -> None:
        number = self._numbers[scheduler] = len(self._positions)
        self._positions[number] = _position(scheduler)
        shape = shape_of(scheduler)
        self.notes.happen(
            ScheduleBegan(
                number=number,
                scheduler=type(scheduler).__name__,
                optimizer=self.run.index(optimizer),
                settings=shape.settings,
                rising=shape.rising,
                length=shape.length,
                turns=shape.turns,
                drops=shape.drops,
                factor=shape.factor,
                at=self._made.get(scheduler, Place()),
            )
        )

    def step_over(self) -> None:
        """Note where each stands, at sampled steps."""
        self._note()

    def ended(self) -> None:
        """Note where each stands at the end."""
        self._note()

    def _note(self) -> None:
        for number, position in self._positions.items():
            self.notes.number(SUBJECT, str(number), position)


def _position(scheduler: Any) -> int:
    """Return the steps that were asked of it; a chain knows them by its first part."""
    parts = getattr(scheduler, "_schedulers", None)
    if "last_epoch" in vars(scheduler) or not parts:
        return int(scheduler.last_epoch)
    return _position(parts[0])
