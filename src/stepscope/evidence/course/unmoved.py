"""Parameters that an optimizer trains, and that have never moved."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Stuck(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter, and what it was due at the looks that found it unmoved."""

    name: str
    lr: float  # the least
    gradient: float  # the least of its largest elements
    coarsest: float  # distance from its largest number to the next one of its dtype


class Unmoved(Happening, frozen=True, kw_only=True):
    """Parameters that were the same, bit for bit, at all looks, with a gradient at each.

    Others of the same optimizer moved meanwhile. Each is told of once.
    """

    parameters: tuple[Stuck, ...]
    since: int  # optimizer steps taken at the first of these looks
    until: int  # and at the last


class NeverMoved(Evidence, frozen=True, kw_only=True):
    """All of them over the run."""

    obtained_by: ClassVar[str] = "a trained parameter that never moves (`stepscope run`)"
    happening: ClassVar[type[Happening]] = Unmoved
    seen: tuple[tuple[int, Unmoved], ...]
    count: int
