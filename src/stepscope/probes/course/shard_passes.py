"""Passes over what a `DistributedSampler` gives to a process, and the order they were drawn in."""

import weakref
from collections.abc import Callable
from typing import Any

from torch.utils.data import dataloader
from torch.utils.data.distributed import DistributedSampler

from stepscope.core import Place
from stepscope.evidence.course.shard_passes import ShardPass
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, running_line


class _Drawn:
    """One sampler over one data set, and its last pass."""

    def __init__(self, number: int, made_at: Place) -> None:
        self.number = number
        self.made_at = made_at
        self.passes = 0  # drawn so far
        self.epoch = 0  # of the last
        self.noted = 0  # the last pass on which a step was taken


class ShardPassSampler(Sampler):
    """Notes a pass at the first step that is taken on it: evaluations are left alone."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._drawn: weakref.WeakKeyDictionary[Any, _Drawn] = weakref.WeakKeyDictionary()
        self._last: Callable[[], Any] = lambda: None  # the sampler of the last batch
        run.patch(DistributedSampler, "__init__", self._around_making)
        run.patch(DistributedSampler, "__iter__", self._around_drawing)
        run.patch(dataloader._BaseDataLoaderIter, "__next__", self._around_next)

    def _around_making(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(sampler: Any, *args: Any, **kwargs: Any) -> None:
            make(sampler, *args, **kwargs)
            self._drawn[sampler] = _Drawn(len(self._drawn), running_line(PROGRAM))

        return observed

    def _around_drawing(self, draw: Callable[..., Any]) -> Callable[..., Any]:
        def observed(sampler: Any) -> Any:
            drawn = self._drawn.get(sampler)
            if drawn is None:
                drawn = self._drawn[sampler] = _Drawn(len(self._drawn), Place())
            drawn.passes += 1
            drawn.epoch = sampler.epoch
            return draw(sampler)

        return observed

    def _around_next(self, following: Callable[..., Any]) -> Callable[..., Any]:
        def observed(loader: Any) -> Any:
            if self._drawn:
                sampler = getattr(loader._index_sampler, "sampler", loader._index_sampler)
                known = isinstance(sampler, DistributedSampler) and (
                    sampler.dataset is loader._dataset  # else it may serve several loaders
                )
                self._last = weakref.ref(sampler) if known else lambda: None
                if known and self._drawn[sampler].passes > self._drawn[sampler].noted:
                    self.notes.stir()
            return following(loader)

        return observed

    def step_over(self) -> None:
        """Look whether this was the first step on a new pass."""
        if not self._drawn or (sampler := self._last()) is None:
            return
        drawn = self._drawn.get(sampler)
        if drawn is not None and drawn.passes > drawn.noted:
            drawn.noted = drawn.passes
            self.notes.happen(
                ShardPass(
                    sampler=drawn.number,
                    epoch=drawn.epoch,
                    seed=sampler.seed,
                    shuffled=sampler.shuffle,
                    replicas=sampler.num_replicas,
                    at=drawn.made_at,
                )
            )
