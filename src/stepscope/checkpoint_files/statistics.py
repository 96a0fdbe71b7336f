"""Facts about the values of tensors in files, in one pass over their bytes."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from stepscope.checkpoint_files.blocks import Reader
from stepscope.checkpoint_files.content import TensorAt, UnreadableCheckpoint
from stepscope.checkpoint_files.model_tensors import model_tensors
from stepscope.checkpoint_files.reading import read
from stepscope.checkpoint_files.running import RunningFingerprint, RunningValues
from stepscope.probes import fingerprints as of_memory

BLOCK = 8032 * 256  # bytes: whole rows of columns, and few enough to stay in a processor's cache
TOGETHER = 512  # tensors whose fingerprints are finished at once
OVERLAP = 20  # times that all files may be read through, before we say that something is wrong


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """What the stored elements of one tensor are like.

    Smallest to deviation speak of the finite ones, and are None where there is none. Of complex
    elements they speak of real and imaginary parts together.
    """

    fingerprint: int  # the number of `probes.fingerprints` for the same bits in memory
    elements: int  # stored ones: those of an expanded tensor count once
    non_finite: int
    zeros: int
    smallest: float | None
    largest: float | None
    mean: float | None
    deviation: float | None  # divided by their number, not by one less
    is_constant: bool  # two or more elements, all finite and equal


Progress = Callable[[int], None]


def measure(
    tensors: Mapping[str, TensorAt], progress: Progress | None = None
) -> dict[str, Statistics]:
    """Read every tensor once, in the order of the files, and say what its values are like.

    `progress` is told the number of bytes read since it was last told. Memory stays below
    100 MB whatever the size of the files. A fingerprint is that of the elements in the order of
    memory: of a tensor that is not contiguous, it is that of one with the same strides.

    Raises:
        UnreadableCheckpoint: a file has become shorter since it was looked into, or its tensors
            overlap so much that reading them would not end.
    """
    values: dict[TensorAt, RunningValues] = {}
    marks = _fingerprints(tensors.values(), progress, values)
    measured = {place: _statistics(mark, values[place]) for place, mark in marks.items()}
    return {name: measured[place] for name, place in tensors.items()}


def fingerprints_of(
    tensors: Mapping[str, TensorAt], progress: Progress | None = None
) -> dict[str, int]:
    """Return the fingerprint of each tensor: of `measure`, the part that costs least.

    Raises:
        UnreadableCheckpoint: as `measure`.
    """
    marks = _fingerprints(tensors.values(), progress, None)
    return {name: marks[place] for name, place in tensors.items()}


def fingerprints(path: Path) -> dict[str, int]:
    """Return the fingerprint of each of the model's tensors in a checkpoint, by name.

    Equal to `probes.fingerprints.fingerprints` of the same bits in memory, in the same strides.

    Raises:
        UnreadableCheckpoint: see `read`.
    """
    return fingerprints_of(model_tensors(read(path)))


def _fingerprints(
    tensors: Iterable[TensorAt],
    progress: Progress | None,
    values: dict[TensorAt, RunningValues] | None,
) -> dict[TensorAt, int]:
    places = sorted(set(tensors), key=lambda place: (str(place.file), place.start))
    _check_overlap(places)
    marks: dict[TensorAt, int] = {}
    waiting: dict[TensorAt, torch.Tensor] = {}
    with Reader(BLOCK) as reader, _one_thread():
        for place in places:
            running = RunningFingerprint()
            about = RunningValues()
            for block in reader.blocks(place):
                running.add(block)
                if values is not None:
                    about.add(block)
                if progress:
                    progress(block.nbytes)
            if values is not None:
                values[place] = about
            waiting[place] = running.stand_in()
            if len(waiting) == TOGETHER:
                marks |= _finished(waiting)
                waiting = {}
    marks |= _finished(waiting)
    of_memory.forget_layouts()
    return marks


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute in this thread alone. Blocks are too short for several, which wait for each other.

    On a busy machine that made it ten times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _finished(waiting: dict[TensorAt, torch.Tensor]) -> Iterator[tuple[TensorAt, int]]:
    return zip(waiting, of_memory.fingerprints(list(waiting.values())), strict=True)


def _check_overlap(places: list[TensorAt]) -> None:
    needed = sum([place.nbytes for place in places])
    there: dict[object, int] = {}
    for place in places:
        there[place.file] = max(there.get(place.file, 0), place.start + place.nbytes)
    if places and needed > OVERLAP * sum(there.values()):
        raise UnreadableCheckpoint(
            places[0].file,
            f"its {len(places)} tensors have {needed} bytes and lie over each other",
            expected="tensors of which few share memory",
            advice="do not load it unless you know who wrote it",
        )


def _statistics(fingerprint: int, about: RunningValues) -> Statistics:
    has_finite = about.finite > 0
    deviation = math.sqrt(about.squares / about.finite) if has_finite else None
    return Statistics(
        fingerprint=fingerprint,
        elements=about.elements,
        non_finite=about.non_finite,
        zeros=about.zeros,
        smallest=about.smallest if has_finite else None,
        largest=about.largest if has_finite else None,
        mean=about.mean if has_finite else None,
        deviation=deviation,
        is_constant=about.finite > 1 and about.non_finite == 0 and about.smallest == about.largest,
    )
