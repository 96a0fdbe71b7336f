"""Forwards without gradient of what is being trained: evaluations, by all signs."""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import dataloader

from stepscope.core import Evidence, Place
from stepscope.evidence.modules import EvaluationPass, EvaluationPasses
from stepscope.probes.live_run import LiveRun
from stepscope.probes.modules import sensitive
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line


@dataclass(slots=True)
class _Pass:
    """One kind of pass; its repetitions add nothing."""

    module: weakref.ref[torch.nn.Module]
    training: bool
    loaders: frozenset[int]
    sensitive: list[weakref.ref[torch.nn.Module]]
    at: Place
    name: str | None = None  # "" is the root; None: not known to be trained
    names: tuple[str, ...] = ()


class EvaluationPassesProbe(Probe):
    """Tells the batches of an evaluation from those of training by their loader.

    A loader whose batch came right before a forward with gradients is a training loader. A
    forward without gradients, of a module that is also called with them, on a batch of no
    training loader, is an evaluation. Loaders are told apart by their data sets.
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._fetched: frozenset[int] = frozenset()  # loaders of the present batch
        self._used = False  # a forward has run since the last fetch
        self._training_loaders: set[int] = set()
        self._trained: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
        self._passes: dict[object, _Pass] = {}
        run.patch(dataloader._BaseDataLoaderIter, "__next__", self._around_next)

    def module_returned(self, module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """Sort an outermost forward: training or evaluation."""
        if len(self.run.modules) != 1 or self.run.in_backward:
            return
        self._used = True
        if self.run.grad_enabled:
            self._trained.add(module)
            self._training_loaders |= self._fetched
            return
        key = (id(module), module.training, self._fetched)
        if key not in self._passes:
            changing = [m for m in module.modules() if m.training and sensitive(m)]
            self._passes[key] = _Pass(
                weakref.ref(module),
                module.training,
                self._fetched,
                [weakref.ref(each) for each in changing],
                running_line(PROGRAM),
            )
            self._name()  # it may die before the next step

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Name what lives."""
        self._name()

    def evidence(self) -> Iterator[Evidence]:
        """Hand out the passes of modules that were trained."""
        self._name()
        passes = tuple(
            EvaluationPass(
                module=each.name,
                training=each.training,
                sensitive=each.names,
                other_loader=bool(each.loaders) and not each.loaders & self._training_loaders,
                at=each.at,
            )
            for each in self._passes.values()
            if each.name is not None
        )
        if passes:
            yield EvaluationPasses(passes=passes)

    def _name(self) -> None:
        for each in self._passes.values():
            module = each.module()
            if module is None or module not in self._trained:
                continue
            each.name = self.run.names.module(module)
            alive = [part for reference in each.sensitive if (part := reference()) is not None]
            each.names = tuple(self.run.names.module(part) for part in alive)

    def _around_next(self, fetch: Callable[..., Any]) -> Callable[..., Any]:
        def observed(iterator: Any) -> Any:
            batch = fetch(iterator)
            loader = frozenset((id(iterator._dataset),))
            self._fetched = loader if self._used else self._fetched | loader
            self._used = False
            return batch

        return observed
