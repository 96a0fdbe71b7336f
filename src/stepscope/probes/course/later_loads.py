"""Single numbers that loads replace once a run is under way."""

import weakref
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from torch import Tensor, nn
from torch.optim import Optimizer

from stepscope.core import Place
from stepscope.evidence.checkpoints import OptimizerLoad, ValueBefore
from stepscope.evidence.course.later_loads import LoadedLater, NumbersLoaded
from stepscope.probes.checkpoints.optimizer_loads import at_start, settings
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.resumed_beside import steps_in
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

MOST = 16  # steps in a run before which loads are told
MOST_NUMBERS = 64  # of a module


class _Pending(NamedTuple):
    """A load into a module; its numbers are on their devices."""

    module: weakref.ref[nn.Module]
    before: dict[str, Tensor]
    after: dict[str, Tensor]
    at: Place


class LaterLoadSampler(Sampler):
    """Takes note of a load when it happens, and tells of it when the next step is over."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._arrivals = Arrivals()
        self._without: weakref.WeakSet[nn.Module] = weakref.WeakSet()  # modules with no number
        self._modules: list[_Pending] = []
        self._optimizers: list[tuple[weakref.ref[Optimizer], OptimizerLoad]] = []
        self._steps = 0
        self._left = MOST
        self._inside = False
        run.patch(nn.Module, "load_state_dict", self._around_module)
        run.patch(Optimizer, "load_state_dict", self._around_optimizer)

    def _may_look(self) -> bool:
        return bool(self.run.step and self._left and not self._inside and self._lookout.is_open())

    def _around_module(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            if module in self._without or not self._may_look():
                return load(module, *args, **kwargs)
            before: dict[str, Tensor] = {}
            with self._lookout.looking():
                before = _copied(_numbers(module))
                if not before:
                    self._without.add(module)
            self._inside = True
            try:
                result = load(module, *args, **kwargs)
            finally:
                self._inside = False
            if before:
                with self._lookout.looking():
                    after, at = _copied(_numbers(module)), running_line(PROGRAM)
                    self._modules.append(_Pending(weakref.ref(module), before, after, at))
                    self.notes.stir()
            return result

        return observed

    def _around_optimizer(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
            if not self._may_look():
                return load(optimizer, *args, **kwargs)
            before: dict[str, float] = {}
            with self._lookout.looking():
                before = settings(optimizer)
            result = load(optimizer, *args, **kwargs)
            state = args[0] if args else kwargs.get("state_dict")
            if isinstance(state, Mapping) and state.get("state"):
                with self._lookout.looking():
                    self._keep(optimizer, before, steps_in(state) or 0)
            return result

        return observed

    def _keep(self, optimizer: Optimizer, before: Mapping[str, float], steps: int) -> None:
        numbers = _replaced(before, settings(optimizer))
        kind, at = type(optimizer).__name__, running_line(PROGRAM)
        load = OptimizerLoad(optimizer=kind, path="", numbers=numbers, at=at)
        self._optimizers.append((weakref.ref(optimizer), load))
        self._steps = max(self._steps, steps)
        self.notes.stir()

    def step_over(self) -> None:
        """See what is in effect of the loads before this step."""
        if self._arrivals.is_waiting:
            self._arrivals.hand_on()
        if self._modules or self._optimizers:
            self._left -= 1
            modules, steps = tuple(self._modules), self._steps
            optimizers = tuple(_now(*each) for each in self._optimizers)
            self._modules.clear()
            self._optimizers.clear()
            self._steps = 0
            self._ask(modules, optimizers, steps)

    def ended(self) -> None:
        """Tell what is still on its way."""
        self._arrivals.hand_on(wait=True)

    def _ask(
        self, modules: tuple[_Pending, ...], optimizers: tuple[OptimizerLoad, ...], steps: int
    ) -> None:
        asked: list[Tensor] = []
        named: list[tuple[Place, str]] = []
        for each in modules:
            module = each.module()
            if module is None:
                continue
            now, lead = _numbers(module), self.run.names.module(module)
            for name in each.before.keys() & each.after.keys() & now.keys():
                asked += [each.before[name], each.after[name], now[name]]
                named.append((each.at, f"{lead}.{name}" if lead else name))

        def arrived(values: list[float]) -> None:
            found: dict[Place, list[ValueBefore]] = {}
            threes = zip(values[::3], values[1::3], values[2::3], strict=True)
            for (at, name), (before, after, now) in zip(named, threes, strict=True):
                if before != after:
                    is_nearer = abs(now - after) < abs(now - before)
                    number = ValueBefore(
                        name=name, before=before, after=after, at_start=after if is_nearer else now
                    )
                    found.setdefault(at, []).append(number)
            told = tuple(NumbersLoaded(numbers=tuple(n), at=at) for at, n in found.items())
            if told or optimizers:
                self.notes.happen(LoadedLater(modules=told, optimizers=optimizers, steps=steps))

        self._arrivals.ask(asked, arrived)


def _numbers(module: nn.Module) -> dict[str, Tensor]:
    named = (each for part in (module.named_parameters(), module.named_buffers()) for each in part)
    single = (
        (name, tensor)
        for name, tensor in named
        if tensor.numel() == 1 and tensor.is_floating_point() and not tensor.is_meta
    )
    return dict(islice(single, MOST_NUMBERS))


def _copied(numbers: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in numbers.items()}


def _replaced(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[ValueBefore, ...]:
    return tuple(
        ValueBefore(name=name, before=old, after=after[name])
        for name, old in before.items()
        if name in after and after[name] != old
    )


def _now(held: weakref.ref[Optimizer], load: OptimizerLoad) -> OptimizerLoad:
    optimizer = held()
    values = settings(optimizer) if optimizer is not None else {}
    return msgspec.structs.replace(load, numbers=at_start(load.numbers, values))
