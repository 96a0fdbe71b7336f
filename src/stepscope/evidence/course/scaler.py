"""What `GradScaler` does over the run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class ScalerUsed(Happening, frozen=True, kw_only=True):
    """An enabled `GradScaler` was asked for its first step. `at` is the line that asked."""

    growth_interval: int  # steps without inf after which the scale grows


class ScalersUsed(Evidence, frozen=True, kw_only=True):
    """The scalers of the run."""

    obtained_by: ClassVar[str] = "a step of an enabled GradScaler (`stepscope run`)"
    happening: ClassVar[type[Happening]] = ScalerUsed
    seen: tuple[tuple[int, ScalerUsed], ...]
    count: int


class ScalerCurves(Evidence, frozen=True, kw_only=True):
    """When a sampled step is over, and at the end: counts since the run began, and the scale.

    `asked` steps of all scalers, `skipped` of them for inf or nan, `in a row` that were skipped
    last, and the `scale` of the scaler that was asked last.
    """

    obtained_by: ClassVar[str] = "a step of an enabled GradScaler (`stepscope run`)"
    subject: ClassVar[str] = "scaler"
    series: dict[str, Series]
