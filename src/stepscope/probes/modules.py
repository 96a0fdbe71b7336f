"""Which modules there are, and in which mode they ran."""

import inspect
import weakref
from collections.abc import Iterator
from typing import Any

import torch

from stepscope.core import Evidence
from stepscope.evidence.modules import Module, Modules
from stepscope.probes.live_run import LiveRun
from stepscope.probes.mode_calls import ModeCalls
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import LIBRARY, PROGRAM, kind_of


class _Seen:
    """What is known of one module."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.kind = type(module).__name__
        self.file, self.line, self.of_library = _forward_of(type(module))
        self.name = ""
        self.trained = False  # its root holds a parameter of an optimizer, or led to a step
        self.training: list[bool | None] = []
        self.calls = 0
        self.empty_calls = 0
        self.drop = 0.0
        self.normalisation = False
        self.shadowing: tuple[str, ...] = ()


class ModulesProbe(Probe):
    """Notes the mode of every module that runs, between the opening of a step and its end.

    Recomputations inside a backward do not count, nor do forwards between two steps. A module
    that ran in both modes in one step counts as training. One that appears later has None for
    the steps before.
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._mode_calls = ModeCalls(run)
        self._seen: weakref.WeakKeyDictionary[torch.nn.Module, _Seen] = weakref.WeakKeyDictionary()
        self._all: list[_Seen] = []  # those of dead modules too
        self._ran: dict[int, tuple[weakref.ref[torch.nn.Module], list[int]]] = {}
        self._is_open = False

    def step_opened(self) -> None:
        """Forwards from here on lead to a step."""
        self._is_open = True
        if not self.run.names.roots():
            self.run.names.refresh()

    def module_called(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        """Count the call under the mode the module is in."""
        if not self._is_open or self.run.in_backward:
            return
        ran = self._ran.get(id(module))
        if ran is None or ran[0]() is not module:
            ran = self._ran[id(module)] = (weakref.ref(module), [0, 0, 0])
        ran[1][module.training] += 1
        first = args[0] if args else next(iter(kwargs.values()), None)
        if isinstance(first, torch.Tensor) and first.numel() == 0:
            ran[1][2] += 1

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Write down one entry for each live module, under its present name."""
        self._is_open = False
        names: dict[torch.nn.Module, str] = {}
        held = self.run.held.keys()
        for root in self.run.names.roots():
            below = [module for module in root.modules() if module not in names]
            trained = any(id(p) in held for p in root.parameters()) or any(
                self._counts(module) is not None for module in below
            )
            for module in below:
                names[module] = self.run.names.module(module)
                self._write(module, names[module], trained=trained)
        self._ran.clear()
        self._mode_calls.name(names)

    def evidence(self) -> Iterator[Evidence]:
        """Hand out the modules that were trained, in order of first sight."""
        trained = [seen for seen in self._all if seen.trained]
        if trained:
            yield Modules(
                modules=tuple(_module(seen) for seen in trained),
                mode_calls=self._mode_calls.named(),
            )

    def _counts(self, module: torch.nn.Module) -> list[int] | None:
        ran = self._ran.get(id(module))
        return ran[1] if ran is not None and ran[0]() is module else None

    def _write(self, module: torch.nn.Module, name: str, *, trained: bool) -> None:
        seen = self._seen.get(module)
        if seen is None:
            seen = self._seen[module] = _Seen(module)
            self._all.append(seen)
        seen.name = name
        seen.trained = seen.trained or trained
        seen.drop = _drop(module)
        seen.normalisation = keeps_statistics(module)
        seen.shadowing = _shadowing(module)
        counts = self._counts(module)
        seen.training += [None] * (self.run.step - len(seen.training))
        seen.training.append(None if counts is None else counts[True] > 0)
        if counts is not None:
            seen.calls += counts[False] + counts[True]
            seen.empty_calls += counts[2]


def keeps_statistics(module: torch.nn.Module) -> bool:
    """Tell a normalisation layer that updates running statistics when it runs in training mode."""
    is_tracking = getattr(module, "track_running_stats", False) is True
    return is_tracking and getattr(module, "running_mean", None) is not None


def sensitive(module: torch.nn.Module) -> bool:
    """Tell a module whose output depends on its mode."""
    return keeps_statistics(module) or _drop(module) > 0


def _drop(module: torch.nn.Module) -> float:
    """Return the probability with which a dropout, drop-path or stochastic-depth layer drops."""
    kind = type(module).__name__
    if not ("Drop" in kind or "StochasticDepth" in kind):
        return 0.0
    found = getattr(module, "drop_prob", getattr(module, "p", 0.0))
    return float(found) if isinstance(found, float | int) else 0.0


def _shadowing(module: torch.nn.Module) -> tuple[str, ...]:
    held = vars(module)
    return (f"requires_grad={held['requires_grad']!r}",) if "requires_grad" in held else ()


def _forward_of(kind: type[torch.nn.Module]) -> tuple[str, int, bool]:
    """Return where the forward of a class of the program stands, and whether it is a library's."""
    forward = inspect.getattr_static(kind, "forward")  # TorchScript has a descriptor there
    code = getattr(inspect.unwrap(forward), "__code__", None)
    if code is None or kind_of(code) < PROGRAM:
        return "", 0, code is not None and kind_of(code) == LIBRARY
    return code.co_filename, code.co_firstlineno, False


def _module(seen: _Seen) -> Module:
    return Module(
        name=seen.name,
        kind=seen.kind,
        file=seen.file,
        line=seen.line,
        training=tuple(seen.training),
        calls=seen.calls,
        empty_calls=seen.empty_calls,
        drop=seen.drop,
        normalisation=seen.normalisation,
        shadowing=seen.shadowing,
        of_library=seen.of_library,
    )
