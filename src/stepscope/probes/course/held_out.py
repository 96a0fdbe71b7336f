"""What the data loaders of evaluations give."""

import time
import weakref
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from msgspec.structs import replace
from torch.utils.data import BatchSampler, DistributedSampler, SequentialSampler, Subset
from torch.utils.data.dataloader import _DatasetKind

from stepscope.evidence.course.held_out import HeldOutPass
from stepscope.evidence.course.repeated_samples import SamplesRepeated
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.batch_leaves import leaves, marks
from stepscope.probes.course.declared_test_sets import called_test
from stepscope.probes.course.exchanges import Exchanges
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.repeated_samples import filled_up, repeating, short_batch
from stepscope.probes.environment import dataset_size
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, running_line

MOST = 16  # passes of one evaluation
SHARE = 0.002  # of the time of the run, for the numbers of all batches but the first ones
FIRST = 8


@dataclass(slots=True)
class _Begun:
    """A pass, and the numbers of its first batch, which stay on their device."""

    data: int  # identity
    facts: HeldOutPass
    marks: dict[str, torch.Tensor]
    whole: frozenset[str]  # paths of integers and truths
    repeated: SamplesRepeated | None


class HeldOut:
    """Looks at passes between two steps over data not known to feed them.

    Of the first batch numbers are kept, and the last one is counted where it is a short one.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        self._notes = notes
        self._exchanges = Exchanges(run)
        self._short: dict[int, tuple[int, int, _Begun]] = {}  # of iterators: last batch, samples
        self._arrivals = Arrivals()
        self._numbers: dict[int, tuple[int, weakref.ref[Any]]] = {}
        self._called: dict[int, str] = {}  # by number
        self._made = 0
        self._marked, self._spent_s = 0, 0.0
        self._passes: list[_Begun] = []
        self._settled: list[_Begun] = []

    def is_due(self, iterator: Any) -> bool:
        """Tell whether this batch is the first of a pass, or the last and a short one."""
        number = iterator._num_yielded
        if number == 1:
            return True
        short = self._short.get(id(iterator)) if self._short else None
        return short is not None and short[0] == number

    def came(self, iterator: Any, batch: object, step: int) -> None:
        """Take in a batch that is due."""
        if iterator._num_yielded == 1:
            self._begin(iterator, batch, step)
        else:
            _, left, begun = self._short.pop(id(iterator))
            begun.repeated = filled_up(iterator, begun.facts, left, batch)

    def _begin(self, iterator: Any, batch: object, step: int) -> None:
        data = iterator._dataset
        number = self._number(data)
        if number is None or len(self._passes) == MOST:
            return
        index_sampler = iterator._index_sampler
        sampler = getattr(index_sampler, "sampler", index_sampler)
        tensors = leaves(batch)
        facts = HeldOutPass(
            data=number,
            kind=_kind(data),
            size=dataset_size(data),
            batch_size=getattr(index_sampler, "batch_size", None),
            order=sum(each.facts.data == number for each in self._passes),
            in_order=iterator._dataset_kind == _DatasetKind.Map
            and (type(index_sampler) is BatchSampler or index_sampler is sampler)
            and _is_in_order(sampler),
            marks={},
            whole_marks={},
            evaluated=step,
            called_test=self._called_test(number, data),
            at=running_line(PROGRAM),
        )
        whole = frozenset(path for path, each in tensors.items() if _is_whole(each))
        begun = _Begun(id(data), facts, self._marks(tensors), whole, repeating(iterator, facts))
        self._passes.append(begun)
        if begun.repeated is not None:
            self._exchanges.listen()
        elif (short := short_batch(iterator, facts, batch)) is not None:
            self._short[id(iterator)] = *short, begun

    def _marks(self, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        if self._marked >= FIRST and self._spent_s > SHARE * self._notes.seconds:
            return {}
        began = time.perf_counter()
        found = marks(tensors)
        self._marked += 1
        self._spent_s += time.perf_counter() - began
        return found

    def forget(self) -> None:
        """There was no evaluation."""
        self._exchanges.stop()
        self._short.clear()
        self._passes.clear()

    def settle(self) -> None:
        """There was one, and it is over."""
        heard = self._exchanges
        for each in self._passes:
            if each.repeated is not None:
                each.repeated = replace(
                    each.repeated,
                    summed=heard.summed,
                    gathered=heard.gathered,
                    objects=heard.objects,
                )
        self._settled += self._passes
        self._passes = []
        self.forget()

    def tell(self, training: Collection[int]) -> None:
        """Tell of those that are over; data sets of `training` feed steps, as is known by now."""
        settled, self._settled = self._settled, []
        told = [each for each in settled if each.data not in training]
        numbers = [number for each in told for number in each.marks.values()]
        if told:
            self._arrivals.ask(numbers, lambda read: self._tell(told, iter(read)))

    def hand_on(self, *, wait: bool = False) -> None:
        """Tell of what devices have answered."""
        if self._arrivals.is_waiting:
            self._arrivals.hand_on(wait=wait)

    def _tell(self, told: list[_Begun], numbers: Iterator[float]) -> None:
        for begun in told:
            if begun.repeated is not None:
                self._notes.happen(begun.repeated)
            known = {path: next(numbers) for path in begun.marks}
            self._notes.happen(
                replace(
                    begun.facts,
                    marks={path: each for path, each in known.items() if path not in begun.whole},
                    whole_marks={path: known[path] for path in known if path in begun.whole},
                )
            )

    def _called_test(self, number: int, data: Any) -> str:
        if number not in self._called:
            self._called[number] = called_test(data)
        return self._called[number]

    def _number(self, data: Any) -> int | None:
        """Return the number of a data set; None of one that cannot be known again: a list."""
        known = self._numbers.get(id(data))
        if known is not None and known[1]() is data:
            return known[0]
        try:
            reference = weakref.ref(data)
        except TypeError:
            return None
        self._numbers[id(data)] = self._made, reference
        self._made += 1
        return self._made - 1


def _kind(data: object) -> str:
    name = type(data).__name__
    return f"{name} of {_kind(data.dataset)}" if isinstance(data, Subset) else name


def _is_in_order(sampler: object) -> bool:
    return type(sampler) is SequentialSampler or (
        type(sampler) is DistributedSampler and not sampler.shuffle
    )


def _is_whole(tensor: torch.Tensor) -> bool:
    return not (tensor.is_floating_point() or tensor.is_complex())
