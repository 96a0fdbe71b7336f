"""What comes out of the data loaders."""

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler
from torch.utils.data.dataloader import _BaseDataLoaderIter

from stepscope.evidence.course.coverage import LoaderBegan
from stepscope.evidence.course.repeated_orders import OrderRepeated
from stepscope.evidence.environment import Loader
from stepscope.probes.course.copied_generators import copied_generators
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.environment import length, loader_facts
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

SUBJECT = "coverage"
MOST = 32  # loaders that are counted
ALIKE = 3  # passes on end


@dataclass(slots=True)
class _Count:
    """What has come out of one loader."""

    batches: int = 0
    passes: int = 0
    longest: int = 0
    fed: int = 0
    alike: int = 0  # passes on end that were shuffled from one state
    began: tuple[int | None, int, int] = (None, 0, 0)  # the last: its seed, steps, optimizers made


@dataclass(slots=True)
class _Pass:
    """One iterator of a loader; a persistent one serves for several passes."""

    number: int
    batches: int = 0


class CoverageSampler(Sampler):
    """Counts batches, and which loader feeds the steps."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._counts: list[_Count] = []
        self._last: int | None = None  # the loader that gave the last batch
        self._given = 0  # steps of the run that were over by then
        self._numbers: dict[Loader, int] = {}  # one that is made anew for each epoch is the same
        self._loaders: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._passes: weakref.WeakKeyDictionary[Any, _Pass] = weakref.WeakKeyDictionary()
        run.patch(DataLoader, "__iter__", self._around_iter)
        run.patch(_BaseDataLoaderIter, "__next__", self._around_next)

    def _around_iter(self, iterate: Callable[..., Any]) -> Callable[..., Any]:
        def observed(loader: Any) -> Any:
            iterator = iterate(loader)
            if self._lookout.is_open():
                number = self._loaders.get(loader)
                if number is None:
                    with self._lookout.looking():
                        self._begin(loader)
                    number = self._loaders.get(loader, MOST)
                if number < MOST:
                    self._counts[number].passes += 1
                    if type(loader.sampler) is RandomSampler:
                        with self._lookout.looking():
                            self._compare(loader, iterator, number)
                    self._passes[iterator] = _Pass(number)
            return iterator

        return observed

    def _begin(self, loader: Any) -> None:
        facts = loader_facts(loader)
        number = self._numbers.setdefault(facts, len(self._numbers))
        self._loaders[loader] = number
        if number < len(self._counts) or number >= MOST:
            return
        self._counts.append(_Count())
        self.notes.happen(
            LoaderBegan(
                number=number,
                dataset=facts.dataset,
                size=facts.size,
                batches=None if facts.size is None else length(loader),
                batch_size=facts.batch_size,
                workers=facts.workers,
                shuffled=facts.shuffled,
                sequential=isinstance(loader.sampler, SequentialSampler)
                and type(loader.batch_sampler) in {BatchSampler, type(None)},
                drop_last=facts.drop_last,
                persistent=bool(loader.persistent_workers),
                seeds_workers=loader.worker_init_fn is not None,
                generators=copied_generators(loader.dataset),
                at=facts.at,
            )
        )

    def _compare(self, loader: Any, iterator: Any, number: int) -> None:
        """Tell of passes that are shuffled alike.

        An iterator draws a seed for its workers before its sampler draws: where one is drawn again,
        so is all that follows. Persistent workers keep theirs.
        """
        is_plain = type(loader.batch_sampler) in {BatchSampler, type(None)}
        is_one = loader.sampler.generator is loader.generator and not loader.persistent_workers
        seed = iterator._base_seed if is_plain and is_one else None
        count = self._counts[number]
        before, steps, made = count.began
        began = seed, self.run.step, self.run.optimizers_made
        is_same = seed is not None and seed == before
        count.alike = count.alike + 1 if is_same and began[1] > steps and began[2] == made else 1
        count.began = began
        if count.alike == ALIKE:
            self.notes.happen(
                OrderRepeated(
                    loader=number,
                    passes=ALIKE,
                    own_generator=loader.generator is not None,
                    at=running_line(PROGRAM),
                )
            )

    def _around_next(self, advance: Callable[..., Any]) -> Callable[..., Any]:
        def observed(iterator: Any) -> Any:
            batch = advance(iterator)
            known = self._passes.get(iterator)
            if known is not None:
                known.batches += 1
                count = self._counts[known.number]
                count.batches += 1
                count.longest = max(count.longest, known.batches)
                if self._given != self.run.step:
                    self._feed(self.run.step)
                self._last = known.number
            return batch

        return observed

    def _feed(self, over: int) -> None:
        """Count the steps since the last batch for the loader that gave it."""
        if self._last is not None:
            self._counts[self._last].fed += over - self._given
        self._given = over

    def step_over(self) -> None:
        """Note the counts, at sampled steps."""
        self._feed(self.run.step + 1)
        self._note()

    def ended(self) -> None:
        """Note the counts of the end."""
        self._feed(self.run.step)
        self._note()

    def _note(self) -> None:
        for number, count in enumerate(self._counts):
            self.notes.number(SUBJECT, f"{number}.batches", count.batches)
            self.notes.number(SUBJECT, f"{number}.passes", count.passes)
            self.notes.number(SUBJECT, f"{number}.longest", count.longest)
            self.notes.number(SUBJECT, f"{number}.fed", count.fed)
