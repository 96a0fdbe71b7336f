"""Loads into optimizers, and the settings that they replaced."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from torch.optim import Optimizer

from stepscope.evidence.checkpoints import OptimizerLoad, ValueBefore
from stepscope.probes.checkpoints.files_tried import FilesTried
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.schedules import as_number
from stepscope.probes.source_lines import PROGRAM, running_line

MOST_LOADS = 64


class OptimizerLoads:
    """Every outermost `load_state_dict` on an optimizer before the first step."""

    def __init__(self, run: LiveRun, lookout: Lookout, files: FilesTried) -> None:
        self._lookout = lookout
        self._files = files
        self._loads: list[tuple[weakref.ref[Optimizer], OptimizerLoad]] = []
        self._inside = False
        self._started = False
        run.patch(Optimizer, "load_state_dict", self._around_load)

    def start(self) -> None:
        """Read the settings that the first step will use, and stop watching."""
        self._started = True
        for index, (reference, load) in enumerate(self._loads):
            made = reference()
            numbers = at_start(load.numbers, settings(made) if made is not None else {})
            self._loads[index] = reference, msgspec.structs.replace(load, numbers=numbers)

    def seen(self) -> tuple[OptimizerLoad, ...]:
        """Return the loads in order."""
        return tuple(load for _, load in self._loads)

    def _around_load(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            busy = self._inside or self._started or len(self._loads) >= MOST_LOADS
            if busy or not self._lookout.is_open():
                return load(optimizer, *args, **kwargs)
            before: dict[str, float] = {}
            with self._lookout.looking():
                before = settings(optimizer)
            self._inside = True
            try:
                result = load(optimizer, *args, **kwargs)
            finally:
                self._inside = False
            with self._lookout.looking():
                state = args[0] if args else kwargs.get("state_dict")
                self._keep(optimizer, state, before)
            return result

        return observed

    def _keep(self, optimizer: Optimizer, state: object, before: Mapping[str, float]) -> None:
        after = settings(optimizer)
        load = OptimizerLoad(
            optimizer=type(optimizer).__name__,
            path=self._files.origin(state),
            numbers=tuple(
                ValueBefore(name=name, before=old, after=after[name])
                for name, old in before.items()
                if name in after and after[name] != old
            ),
            at=running_line(PROGRAM),
        )
        self._loads.append((weakref.ref(optimizer), load))


def at_start(
    numbers: tuple[ValueBefore, ...], values: Mapping[str, float]
) -> tuple[ValueBefore, ...]:
    """Add to each number what it is when training starts."""
    return tuple(
        msgspec.structs.replace(number, at_start=values.get(number.name)) for number in numbers
    )


def settings(optimizer: Optimizer) -> dict[str, float]:
    """Return learning rate and weight decay of each group, by what they are called."""
    return {
        f"{word} of group {index}": as_number(group[key])
        for index, group in enumerate(optimizer.param_groups)
        for key, word in (("lr", "lr"), ("weight_decay", "weight decay"))
        if key in group
    }
