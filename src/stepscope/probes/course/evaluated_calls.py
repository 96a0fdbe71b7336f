"""Whether what selects a branch of an evaluated model makes a difference."""

import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import torch
from torch.nn.modules import module as torch_module
from torch.nn.modules.module import register_module_forward_hook

from stepscope.core import Place
from stepscope.evidence.course.compared_calls import CallsCompared
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.batch_leaves import leaves, marks
from stepscope.probes.course.notes import Notes
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

CALLS = 4  # that are listened to after a pass begins
MOST = 16  # of one evaluation
TIMES = 4  # that a pair of values is told of
SHARE = 0.002  # of the time of the run, for all evaluations but the first two
FIRST = 2

Marks = dict[str, torch.Tensor]  # by path; numbers that stay on their device
_Known = tuple[dict[str, str], dict[str, float], dict[str, float]]  # selectors, given, returned


@dataclass(frozen=True, slots=True)
class _Call:
    selectors: dict[str, str]  # their values as they are written
    given: Marks
    returned: Marks


class EvaluatedCalls:
    """Compares the first calls of each pass of an evaluation; of the others nothing is seen."""

    def __init__(self, run: LiveRun, notes: Notes, lookout: Lookout) -> None:
        self._run, self._notes, self._lookout = run, notes, lookout
        self._arrivals = Arrivals()
        self._module: weakref.ref[torch.nn.Module] | None = None
        self._name = self._kind = ""
        self._at = Place()
        self._hook: Any = None
        self._listened = 0  # calls since the pass began
        self._calls: list[_Call] = []
        self._told: Counter[tuple[str, ...]] = Counter()
        self._evaluations = 0
        self._spent_s = 0.0

    def follow(self, module: torch.nn.Module, at: Place) -> None:
        """Listen to the calls of the module that is evaluated, where that can be afforded."""
        self.forget()
        if self._evaluations < FIRST or self._spent_s <= SHARE * self._notes.seconds:
            self._evaluations += 1
            self._module, self._at = weakref.ref(module), at
            self._name, self._kind = self._run.names.module(module), type(module).__name__
            self.pass_began()

    def pass_began(self) -> None:
        """Listen again: what selects may change from one pass over the data to the next."""
        if self._module is not None and len(self._calls) < MOST and not self._run.over:
            self._listened = 0
            if self._hook is None:
                self._hook = register_module_forward_hook(self._returned, with_kwargs=True)

    def stop(self) -> None:
        """Listen no longer."""
        if self._hook is not None:
            self._hook.remove()
            torch_module._global_forward_hooks_with_kwargs.pop(self._hook.id, None)  # it stays else
            self._hook = None

    def forget(self) -> None:
        """It was no evaluation."""
        self.stop()
        self._module = None
        self._calls.clear()

    def tell(self) -> None:
        """It was one, and it is over."""
        calls = tuple(self._calls)
        self.forget()
        if len({tuple(call.selectors.items()) for call in calls}) <= 1:
            return
        facts = partial(
            CallsCompared,
            module=self._name,
            kind=self._kind,
            evaluated=self._run.step,
            at=self._at,
        )
        numbers = [
            each for call in calls for each in (*call.given.values(), *call.returned.values())
        ]
        self._arrivals.ask(numbers, lambda read: self._compare(calls, iter(read), facts))

    def _compare(
        self,
        calls: tuple[_Call, ...],
        numbers: Iterator[float],
        facts: Callable[..., CallsCompared],
    ) -> None:
        known: list[_Known] = []
        for call in calls:
            given = {path: next(numbers) for path in call.given}
            known.append((call.selectors, given, {path: next(numbers) for path in call.returned}))
        for (one, given, returned), (other, given_too, returned_too) in combinations(known, 2):
            differing = [key for key in one if one[key] != other.get(key)]
            if one.keys() == other.keys() and differing and given and given == given_too:
                found = facts(
                    selector=", ".join(differing),
                    values=(_joined(one, differing), _joined(other, differing)),
                    tensors=len(returned),
                    same=bool(returned) and returned == returned_too,
                )
                key = found.module, found.selector, *found.values, str(found.same)
                once = *key, str(found.evaluated)
                if self._told[key] < TIMES and not self._told[once]:
                    self._told.update((key, once))
                    self._notes.happen(found)

    def hand_on(self, *, wait: bool = False) -> None:
        """Tell of what devices have answered."""
        if self._arrivals.is_waiting:
            self._arrivals.hand_on(wait=wait)

    def _returned(
        self, module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any
    ) -> None:
        if self._module is None or module is not self._module() or not self._lookout.is_open():
            return
        if torch.is_grad_enabled():
            return  # training goes on
        began = time.perf_counter()
        with self._lookout.looking():
            self._listened += 1
            given = {**{str(i): each for i, each in enumerate(args)}, **kwargs}
            self._calls.append(
                _Call(_selectors(module, args, kwargs), marks(leaves(given)), marks(leaves(output)))
            )
        if self._listened == CALLS or len(self._calls) == MOST:
            self.stop()
        self._spent_s += time.perf_counter() - began


def _selectors(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> dict[str, str]:
    """Return what may select: numbers that a module holds count something, as a rule."""
    given = {f"argument {i}": each for i, each in enumerate(args)} | dict(kwargs)
    held = {
        name: each
        for name, each in vars(module).items()
        if name[0] != "_" and name != "training" and isinstance(each, str | bool)
    }
    return {
        name: repr(each)
        for name, each in (held | given).items()
        if isinstance(each, str | bool | int)
    }


def _joined(selectors: dict[str, str], names: list[str]) -> str:
    return ", ".join(selectors[name] for name in names)
