"""Losses over the run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class LossCurves(Evidence, frozen=True, kw_only=True):
    """At sampled steps: `total`, on which backward began (mean of a step), and named terms."""

    obtained_by: ClassVar[str] = "a loss over the run (`stepscope run`)"
    subject: ClassVar[str] = "loss"
    series: dict[str, Series]
