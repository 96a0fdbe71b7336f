"""Running statistics of normalisation layers that evaluation cannot use."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class StatisticsBroken(Happening, frozen=True, kw_only=True):
    """Running means or variances with nan, inf or a negative variance. Each layer is told of once.

    A moving average that has taken in nan or inf keeps it for ever.
    """

    opens_window: ClassVar[bool] = True
    layers: tuple[str, ...]
    until: int  # optimizer steps taken when it was seen


class BrokenStatistics(Evidence, frozen=True, kw_only=True):
    """All of them over the run."""

    obtained_by: ClassVar[str] = "a running statistic that is not finite (`stepscope run`)"
    happening: ClassVar[type[Happening]] = StatisticsBroken
    seen: tuple[tuple[int, StatisticsBroken], ...]
    count: int
