"""Samples that an evaluation was given more often than once, or that are no samples."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class SamplesRepeated(Happening, frozen=True, kw_only=True):
    """A pass of an evaluation on more samples than there are. `at` is the line that began it."""

    data: int  # number of the data set, as in `HeldOutPass`
    kind: str  # its class name
    size: int  # samples
    sampler: str  # class name
    replicas: int = 1  # processes among which the sampler divides them
    own: int = 0  # samples that it gives to this one
    repeated: int = 0  # that it gives twice, so that all processes are given as many
    replaces: bool = False  # it draws with replacement
    rows: int = 0  # of every tensor of the last batch, as of the first
    left: int = 0  # samples in the last batch
    summed: bool = False  # numbers were added up over processes before training went on
    gathered: int = 0  # elements of the largest tensor that processes exchanged
    objects: bool = False  # processes exchanged objects
    evaluated: int  # optimizer steps taken before

    @property
    def is_telling(self) -> bool:
        """Always."""
        return True


class RepeatedSamples(Evidence, frozen=True, kw_only=True):
    """All such passes, in order."""

    obtained_by: ClassVar[str] = "an evaluation on repeated samples (`stepscope run`)"
    happening: ClassVar[type[Happening]] = SamplesRepeated
    seen: tuple[tuple[int, SamplesRepeated], ...]
    count: int
