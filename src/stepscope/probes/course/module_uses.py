"""Which classes of modules are built, and which of them are never used."""

import weakref
from collections.abc import Callable
from typing import Any

import torch

from stepscope.evidence.course.module_uses import ModulesUsed, ModuleUse
from stepscope.probes.course.module_classes import below, origin_of
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.unused import UnusedClass
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import LIBRARY, PROGRAM

MOST = 512  # classes that are told
KEPT = 64  # modules of one class that are asked whether they have a gradient
SETTLED = 3  # whole steps in which something unused was looked at: less says nothing


class ModuleUseSampler(Sampler):
    """Counts modules as they are built, and in the first step all calls of them.

    A class of the program's own, or one that a configuration declares, of which none was called by
    then and none has a gradient, is looked at from then on until one of them is used.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._built: dict[type, int] = {}
        self._modules: dict[type, list[weakref.ref[torch.nn.Module]]] = {}
        self._called: set[type] | None = set()  # None once the first step is over
        self._unused: dict[type, UnusedClass] = {}
        self._is_blind = run.compiled
        for name in ("__init__", "__setstate__"):  # the second by copies, and by loading
            run.patch(torch.nn.Module, name, self._around_init, is_inert=True)
        run.patch(torch, "compile", self._around_compile)
        self._hook = torch.nn.modules.module.register_module_forward_pre_hook(self._calls)
        run.on_end(self._hook.remove)
        run.before_export.append(self._hook.remove)
        if run.compiled:
            self._hook.remove()

    def step_over(self) -> None:
        """Look once at what the first step has not used."""
        if self._called is None:
            return
        self._hook.remove()
        if not self.run.is_whole:
            counted = set(self._built)
            for root in self.run.names.roots():
                for module in root.modules():
                    if type(module) not in counted:
                        self._count(module)
        called, self._called = self._called, None
        if self._is_blind:
            return
        for kind in self._built:
            if self._is_of_interest(kind) and kind not in called and not self._has_gradient(kind):
                self._unused[kind] = UnusedClass(kind, self.run.step)

    def ended(self) -> None:
        """Tell of each class."""
        seen = [kind for kind in self._built if self._is_of_interest(kind)]
        kinds = {kind.__name__ for kind in seen}
        missing = {
            kind.__name__: kind
            for kind in below(torch.nn.Module)
            if kind.__name__ in self.run.declared - kinds and origin_of(kind) >= LIBRARY
        }
        told: dict[str, ModuleUse] = {}
        for kind in (*seen, *missing.values()):
            told[kind.__name__] = self._joined(kind, told.get(kind.__name__))
        others = sorted({kind.__name__ for kind in self._built} - set(told))
        for each in self._unused.values():
            each.let_go()
        self.notes.happen(
            ModulesUsed(
                modules=tuple(told[name] for name in sorted(told)[:MOST]),
                others=tuple(others[:MOST]),
                is_whole=self.run.is_whole,
                is_complete=len(told) <= MOST and len(others) <= MOST,
            )
        )

    def _joined(self, kind: type, known: ModuleUse | None) -> ModuleUse:
        """Describe a class, together with another of the same name."""
        built, used = self._built.get(kind, 0), self._is_used(kind)
        if known is not None and known.built:
            built, used = built + known.built, None if used is None else used or known.used
        return ModuleUse(kind=kind.__name__, built=built, used=used)

    def _is_used(self, kind: type) -> bool | None:
        if self._is_blind or self.run.compiled or self._called is not None:
            return None
        if (unused := self._unused.get(kind)) is None or unused.is_used:
            return True
        return False if self.run.step - unused.since > SETTLED else None

    def _around_init(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            make(module, *args, **kwargs)
            if not self.run.over:
                self._count(module)

        return observed

    def _count(self, module: torch.nn.Module) -> None:
        kind = type(module)
        self._built[kind] = self._built.get(kind, 0) + 1
        if kind.__module__.startswith("torch."):
            return
        if self._called is not None:
            kept = self._modules.setdefault(kind, [])
            if len(kept) < KEPT:
                kept.append(weakref.ref(module))
        elif kind not in self._modules and not self._is_blind and self._is_of_interest(kind):
            self._modules[kind] = []
            self._unused[kind] = UnusedClass(kind, self.run.step)

    def _calls(self, module: torch.nn.Module, _: object) -> None:
        """Note a call in the first step: a hook that torch runs for all modules."""
        if self._called is not None:
            self._called.add(type(module))

    def _around_compile(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            self._is_blind = True
            self._hook.remove()
            for each in self._unused.values():
                each.let_go()
            return compiled(*args, **kwargs)

        return observed

    def _is_of_interest(self, kind: type) -> bool:
        origin = origin_of(kind)
        return origin == PROGRAM or (origin == LIBRARY and kind.__name__ in self.run.declared)

    def _has_gradient(self, kind: type) -> bool:
        alive = [module for held in self._modules.get(kind, ()) if (module := held()) is not None]
        return any(
            parameter.grad is not None for module in alive for parameter in module.parameters()
        )
