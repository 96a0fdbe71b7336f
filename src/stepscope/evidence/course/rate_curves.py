"""Learning rates over the run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class RateCurves(Evidence, frozen=True, kw_only=True):
    """At sampled steps, what the step used, by optimizer and group: `0.1`."""

    obtained_by: ClassVar[str] = "an optimizer step over the run (`stepscope run`)"
    subject: ClassVar[str] = "rate"
    series: dict[str, Series]
