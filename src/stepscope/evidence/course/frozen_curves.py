"""How much of the model is held to stay as it is."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series


class FrozenCurves(Evidence, frozen=True, kw_only=True):
    """At a few steps, how many tensors were compared, bit by bit, with the look before.

    `parameters` are frozen and in no optimizer; `statistics` are the running means and variances
    of normalisation layers that are frozen.
    """

    obtained_by: ClassVar[str] = "a frozen part of the model over the run (`stepscope run`)"
    subject: ClassVar[str] = "frozen"
    series: dict[str, Series]
