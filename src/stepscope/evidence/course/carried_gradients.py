"""Whether gradients outlive the step that used them."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class CarriedGradients(Evidence, frozen=True, kw_only=True):
    """By optimizer, for the step that follows a sampled one: 1 if its gradients hold the last's.

    That is: its first backward found exactly the gradients that the step before had used, not all
    of them 0, and no later backward of it found them cleared. Up to 8 parameters are looked at.
    """

    obtained_by: ClassVar[str] = "a step that follows another (`stepscope run`)"
    subject: ClassVar[str] = "carried gradients"
    series: dict[str, Series]
