"""Loads into optimizers and their schedulers, over the whole of a run."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from torch.optim import Optimizer, lr_scheduler

from stepscope.core import Place
from stepscope.evidence.course.resumes import OptimizerLoaded, ScheduleResumed
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.resumed_beside import steps_in
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.schedules import unwrapped
from stepscope.probes.source_lines import PROGRAM, running_line

MAKES = (lr_scheduler.LRScheduler, lr_scheduler.ReduceLROnPlateau)


class ResumeSampler(Sampler):
    """Tells of a load when it happens, and of the schedulers when the next step is over."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._made: weakref.WeakKeyDictionary[Any, Place] = weakref.WeakKeyDictionary()
        self._loaded: weakref.WeakSet[Any] = weakref.WeakSet()
        self._resumed: weakref.WeakKeyDictionary[Optimizer, OptimizerLoaded] = (
            weakref.WeakKeyDictionary()
        )
        run.patch(Optimizer, "load_state_dict", self._around_load)
        for kind in MAKES:
            run.patch(kind, "__init__", self._around_making)
        for kind in vars(lr_scheduler).values():
            if isinstance(kind, type) and kind is not Optimizer and "load_state_dict" in vars(kind):
                run.patch(kind, "load_state_dict", self._around_loading)

    def step_over(self) -> None:
        """Look at the schedulers of optimizers that were resumed since the last step."""
        if not self._resumed:
            return
        resumed = list(self._resumed.items())
        self._resumed.clear()
        for optimizer, load in resumed:
            mine = [each for each in self._made if unwrapped(each.optimizer) is optimizer]
            if mine:
                self.notes.happen(
                    ScheduleResumed(
                        optimizer=load.optimizer,
                        kind=load.kind,
                        schedulers=tuple(type(each).__name__ for each in mine),
                        loaded=sum(each in self._loaded for each in mine),
                        furthest=max(int(each.last_epoch) for each in mine),
                        steps=load.steps,
                        made_at=self._made[mine[0]],
                        at=load.at,
                    )
                )

    def _around_load(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            result = load(optimizer, *args, **kwargs)
            state = args[0] if args else kwargs.get("state_dict")
            if isinstance(state, Mapping) and state.get("state") and self._lookout.is_open():
                told = None
                with self._lookout.looking():
                    told = self._facts(optimizer, state)
                if told is not None:
                    self.notes.happen(told)
            return result

        return observed

    def _facts(self, optimizer: Optimizer, state: Mapping[str, Any]) -> OptimizerLoaded:
        told = OptimizerLoaded(
            optimizer=self.run.index(optimizer),
            kind=type(optimizer).__name__,
            steps=steps_in(state),
            at=running_line(PROGRAM),
        )
        if any("initial_lr" in group for group in state["param_groups"]):
            self._resumed[optimizer] = told
            self.notes.stir()
        return told

    def _around_making(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(scheduler: Any, *args: Any, **kwargs: Any) -> None:
            make(scheduler, *args, **kwargs)
            if self._lookout.is_open():
                self._made.setdefault(scheduler, running_line(PROGRAM))

        return observed

    def _around_loading(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(scheduler: Any, *args: Any, **kwargs: Any) -> Any:
            self._loaded.add(scheduler)
            return load(scheduler, *args, **kwargs)

        return observed
