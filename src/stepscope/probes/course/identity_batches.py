"""Counts the labels of batches that are to hold so many samples of each identity."""

import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader
from torch.utils.data.dataloader import _BaseDataLoaderIter

from stepscope.evidence.course.identity_batches import IdentitySamplerBegan
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "identities"
# torchreid and fast-reid; pytorch-metric-learning; and what others call it
SETTINGS = ("num_instances", "m_per_class", "samples_per_class", "num_samples_per_class")
MOST = 8  # loaders
DEPTH = 2  # of a batch, in which labels are looked for


@dataclass(frozen=True, slots=True)
class _Promise:
    number: int
    each: int  # K


class IdentityBatchSampler(Sampler):
    """Looks at the labels on the CPU, as they leave the loader, in sampled steps."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._loaders: weakref.WeakKeyDictionary[Any, _Promise] = weakref.WeakKeyDictionary()
        self._iterators: weakref.WeakKeyDictionary[Any, _Promise] = weakref.WeakKeyDictionary()
        self._count = 0
        run.patch(DataLoader, "__iter__", self._around_iter)
        run.patch(_BaseDataLoaderIter, "__next__", self._around_next)

    def _around_iter(self, iterate: Callable[..., Any]) -> Callable[..., Any]:
        def observed(loader: Any) -> Any:
            iterator = iterate(loader)
            if self._lookout.is_open():
                with self._lookout.looking():
                    self._begin(loader)
                if (promise := self._loaders.get(loader)) is not None:
                    self._iterators[iterator] = promise
            return iterator

        return observed

    def _begin(self, loader: Any) -> None:
        if loader in self._loaders or self._count == MOST:
            return
        for sampler in (loader.batch_sampler, loader.sampler):
            for setting in SETTINGS:
                each = vars(sampler).get(setting) if hasattr(sampler, "__dict__") else None
                if not isinstance(each, int) or each < 2:  # noqa: PLR2004 - one of each is no promise
                    continue
                self._loaders[loader] = _Promise(self._count, each)
                self.notes.happen(
                    IdentitySamplerBegan(
                        number=self._count,
                        sampler=type(sampler).__name__,
                        setting=f"{setting}={each}",
                        at=running_line(PROGRAM),
                    )
                )
                self._count += 1
                return

    def _around_next(self, advance: Callable[..., Any]) -> Callable[..., Any]:
        def observed(iterator: Any) -> Any:
            batch = advance(iterator)
            if self._iterators and self.notes.is_sampled and self._lookout.is_open():
                promise = self._iterators.get(iterator)
                if promise is not None:
                    with self._lookout.looking():
                        self._look(promise, batch)
            return batch

        return observed

    def _look(self, promise: _Promise, batch: Any) -> None:
        found = [_kept(labels, promise.each) for labels in _labels(batch, DEPTH)]
        if found:
            kept, different = max(found)
            self.notes.number(SUBJECT, f"{promise.number}.kept", kept)
            self.notes.number(SUBJECT, f"{promise.number}.labels", different)


def _labels(batch: Any, depth: int) -> Iterator[torch.Tensor]:
    """Yield the whole numbers that a batch has one of for each row."""
    if isinstance(batch, torch.Tensor):
        whole = not batch.is_floating_point() and not batch.is_complex()
        if whole and batch.device.type == "cpu" and batch.dim() == 1 and batch.numel() > 1:
            yield batch
    elif isinstance(batch, dict | list | tuple) and depth:
        for part in batch.values() if isinstance(batch, dict) else batch:
            yield from _labels(part, depth - 1)


def _kept(labels: torch.Tensor, each: int) -> tuple[float, int]:
    """Return the share of the rows whose label occurs often enough, and how many labels differ."""
    _, counts = labels.unique(return_counts=True)
    return float(counts[counts % each == 0].sum()) / labels.numel(), counts.numel()
