"""When a wrapped module is evaluated or saved, and whether its statistics were averaged before."""

import weakref
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch.nn.modules.batchnorm import _NormBase
from torch.utils.data import dataloader

from stepscope.evidence.course.replicas import StatisticsUsed
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.wrappers import Wrapped
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

DEPTH = 4  # of mappings, as checkpoints nest them


class _Watched:
    """One layer in training that speaks for its wrapper, and what was last written into it."""

    def __init__(self, wrapper: Wrapped, layer: _NormBase, rank: int) -> None:
        self.wrapper = wrapper
        self.layer = weakref.ref(layer)
        self.rank = rank
        self.version = -1  # of its statistics, after the last step
        self.is_evaluated = False  # eval() was called, and nothing was computed yet

    @property
    def statistics(self) -> torch.Tensor | None:
        layer = self.layer()
        return None if layer is None else layer.running_mean


class StatisticsWatch:
    """Notes each use. Costs nothing where no wrapper leaves statistics to each rank."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        self._notes = notes
        self._watched: list[_Watched] = []
        self._lookout = Lookout(run, type(self).__name__)
        run.patch(torch.nn.Module, "eval", self._around_eval)
        run.patch(torch, "save", self._around_save)
        run.patch(dataloader._BaseDataLoaderIter, "__next__", self._around_next)

    def watch(self, wrapper: Wrapped, rank: int) -> None:
        """Watch a wrapper from its first step on."""
        if wrapper.has_own_statistics():
            layer = next((each for each in wrapper.layers().values() if each.training), None)
            if layer is not None:
                self._watched.append(_Watched(wrapper, layer, rank))

    def stepped(self) -> None:
        """Take note of what training has written."""
        for each in self._watched:
            statistics = each.statistics
            each.is_evaluated = False
            each.version = -1 if statistics is None else statistics._version

    def settle(self) -> None:
        """Note the evaluations that begin now: what was to be averaged before has been."""
        for each in self._watched:
            if each.is_evaluated:
                each.is_evaluated = False
                self._note(each, "evaluated")

    def _note(self, watched: _Watched, what: str) -> None:
        statistics = watched.statistics
        if statistics is not None:
            self._notes.happen(
                StatisticsUsed(
                    wrapper=watched.wrapper.number,
                    rank=watched.rank,
                    what=what,
                    as_trained=statistics._version == watched.version,
                )
            )

    def _around_eval(self, put: Callable[..., Any]) -> Callable[..., Any]:
        def observed(module: torch.nn.Module) -> Any:
            if self._watched and self._lookout.is_open():
                below = set(module.modules())
                for each in self._watched:
                    each.is_evaluated = each.is_evaluated or each.layer() in below
            return put(module)

        return observed

    def _around_next(self, following: Callable[..., Any]) -> Callable[..., Any]:
        def observed(loader: Any) -> Any:
            if self._watched and self._lookout.is_open():
                self.settle()
            return following(loader)

        return observed

    def _around_save(self, save: Callable[..., Any]) -> Callable[..., Any]:
        def observed(obj: Any, *args: Any, **kwargs: Any) -> Any:
            if self._watched and self._lookout.is_open():
                with self._lookout.looking():
                    self._saved(obj)
            return save(obj, *args, **kwargs)

        return observed

    def _saved(self, obj: Any) -> None:
        stored = {tensor.untyped_storage().data_ptr() for tensor in _tensors(obj, DEPTH)}
        for each in self._watched:
            statistics = each.statistics
            if statistics is not None and statistics.untyped_storage().data_ptr() in stored:
                self._note(each, "saved")


def _tensors(value: Any, depth: int) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        if value.layout is torch.strided:
            yield value
    elif isinstance(value, Mapping) and depth:
        for each in value.values():
            yield from _tensors(each, depth - 1)
