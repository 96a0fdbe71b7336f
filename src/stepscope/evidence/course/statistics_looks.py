"""How many normalisation layers had their running statistics looked at."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class StatisticsLooks(Evidence, frozen=True, kw_only=True):
    """At a few steps, `layers`: those that keep running statistics."""

    obtained_by: ClassVar[str] = "a normalisation layer with running statistics (`stepscope run`)"
    subject: ClassVar[str] = "running statistics"
    series: dict[str, Series]
