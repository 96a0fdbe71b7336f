"""Time and memory over the run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class TimeCurves(Evidence, frozen=True, kw_only=True):
    """Means over the steps since the last sampled one.

    `step` is the time of a step and `loader` that of waiting for a `DataLoader`, in seconds a
    step; `memory` is in bytes: of the device, or else of the process.
    """

    obtained_by: ClassVar[str] = "the time of a step over the run (`stepscope run`)"
    subject: ClassVar[str] = "time"
    series: dict[str, Series]
