"""Sizes of gradients over the run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class GradientCurves(Evidence, frozen=True, kw_only=True):
    """At sampled steps, the Euclidean norm of the gradients of a module, as the step finds them."""

    obtained_by: ClassVar[str] = "a gradient over the run (`stepscope run`)"
    subject: ClassVar[str] = "gradient"
    series: dict[str, Series]
