"""What the program itself logs, over the run."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class MetricCurves(Evidence, frozen=True, kw_only=True):
    """Numbers by the program's own names: `val_acc`, `train/loss`.

    They come from the logger of a framework, from `run.log`, or from a `SummaryWriter`; the step is
    that of the run, whatever the program counts by.
    """

    obtained_by: ClassVar[str] = "a number that the program logs (`add_scalar`, `run.log`, ...)"
    subject: ClassVar[str] = "metric"
    series: dict[str, Series]
