"""Whether gradient scalers and random states were resumed with the optimizer."""

import functools
import random
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.amp import GradScaler
from torch.optim import Optimizer

from stepscope.core import Place
from stepscope.evidence.course.resumed_beside import ResumedBeside
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.putting_back import put_back
from stepscope.probes.source_lines import MACHINERY, PROGRAM, kind_of, running_line

RANDOM = (  # what sets a random state; torch's own forks use the first ones as well
    (torch, "set_rng_state"),
    (torch.random, "set_rng_state"),
    (torch.cuda, "set_rng_state"),
    (torch.cuda, "set_rng_state_all"),
    (torch.cuda.random, "set_rng_state"),
    (torch.cuda.random, "set_rng_state_all"),
    (random, "setstate"),
)


class ResumedBesideSampler(Sampler):
    """Looks when the first step after a load is over. Random states are heard of until step 1."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._made: weakref.WeakSet[Any] = weakref.WeakSet()
        self._loaded: weakref.WeakSet[Any] = weakref.WeakSet()
        self._used: weakref.WeakSet[Any] = weakref.WeakSet()  # before the load
        self._resumed: list[tuple[int, str, int, Place]] = []  # since the last step that was told
        self._is_restored: bool | None = False
        self._undo: list[Callable[[], None]] = []
        run.patch(GradScaler, "__init__", self._around_making)
        run.patch(GradScaler, "load_state_dict", self._around_scaler)
        run.patch(Optimizer, "load_state_dict", self._around_load)
        for owner, name in RANDOM:
            self._hear(name, owner)
        when_imported(run, "numpy.random", functools.partial(self._hear, "set_state"))
        run.on_end(self._leave)

    def _hear(self, name: str, owner: Any) -> None:
        if self._is_restored is None:
            return
        original = getattr(owner, name)
        observed = self._around_random(original)
        setattr(owner, name, observed)
        self._undo.append(functools.partial(put_back, owner, name, observed, original))

    def _leave(self) -> None:
        """Hear of random states no more: activation checkpoints set them in every step."""
        while self._undo:
            self._undo.pop()()

    def step_over(self) -> None:
        """Tell of the loads before this step."""
        if self._undo:
            self._leave()
        if self._resumed:
            for each in self._resumed:
                self.notes.happen(self._told(*each))
            self._resumed.clear()
        self._is_restored = None

    def _told(self, optimizer: int, kind: str, steps: int, at: Place) -> ResumedBeside:
        fresh = [each for each in self._in_use() if each not in self._used]
        return ResumedBeside(
            optimizer=optimizer,
            kind=kind,
            steps=steps,
            scalers=len(fresh),
            scalers_loaded=sum(each in self._loaded for each in fresh),
            random_restored=self._is_restored if self.run.is_whole else None,
            at=at,
        )

    def _in_use(self) -> Iterator[Any]:
        return (each for each in self._made if each.is_enabled() and each._scale is not None)

    def _around_random(self, restore: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(restore)
        def observed(*args: Any, **kwargs: Any) -> Any:
            if self._undo and kind_of(sys._getframe(1).f_code) > MACHINERY:
                self._is_restored = True
            return restore(*args, **kwargs)

        return observed

    def _around_making(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(scaler: Any, *args: Any, **kwargs: Any) -> None:
            make(scaler, *args, **kwargs)
            self._made.add(scaler)

        return observed

    def _around_scaler(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(scaler: Any, *args: Any, **kwargs: Any) -> Any:
            self._loaded.add(scaler)
            return load(scaler, *args, **kwargs)

        return observed

    def _around_load(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            result = load(optimizer, *args, **kwargs)
            state = args[0] if args else kwargs.get("state_dict")
            if isinstance(state, Mapping) and state.get("state") and self._lookout.is_open():
                with self._lookout.looking():
                    self._keep(optimizer, state)
            return result

        return observed

    def _keep(self, optimizer: Optimizer, state: Mapping[str, Any]) -> None:
        steps = steps_in(state)
        if steps:
            kind, at = type(optimizer).__name__, running_line(PROGRAM)
            self._used.update(self._in_use())
            self._resumed.append((self.run.index(optimizer), kind, steps, at))
            self.notes.stir()


def steps_in(state: Mapping[str, Any]) -> int | None:
    """Return the steps that an optimizer's state has counted; None: none, or on a device."""
    counted = [each.get("step") for each in state["state"].values() if isinstance(each, Mapping)]
    readable = [
        int(each)
        for each in counted
        if isinstance(each, int | float)
        or (isinstance(each, torch.Tensor) and each.device.type == "cpu" and each.numel() == 1)
    ]
    return max(readable, default=None)
