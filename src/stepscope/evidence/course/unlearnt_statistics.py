"""Running statistics that are as a layer is made with: every mean 0, every variance 1."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class StatisticsUnlearnt(Happening, frozen=True, kw_only=True):
    """Layers whose statistics were so at several looks. Each is told of once."""

    layers: tuple[str, ...]
    is_training: bool  # their mode, the same at all these looks
    momentum: float | None  # of the layers
    until: int  # optimizer steps taken at the last of these looks


class UnlearntStatistics(Evidence, frozen=True, kw_only=True):
    """All of them over the run."""

    obtained_by: ClassVar[str] = "a normalisation layer as it was made (`stepscope run`)"
    happening: ClassVar[type[Happening]] = StatisticsUnlearnt
    seen: tuple[tuple[int, StatisticsUnlearnt], ...]
    count: int
