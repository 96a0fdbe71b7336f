"""Networks that the program averages from trained ones, and that an optimizer holds as well."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series

OUTSIDE, ALIGNED, INSIDE = "outside", "aligned", "inside"
STUDENT_OUTSIDE = "student outside"


class HeldTeacherFound(Happening, frozen=True, kw_only=True):
    """A copy of another trained module that moved between two steps of the optimizer of both."""

    name: str  # qualified: "key_encoder"
    student: str
    optimizer: int  # in the order of making
    kind: str  # class name


class HeldTeachersFound(Evidence, frozen=True, kw_only=True):
    """All of them, with what they are copies of."""

    obtained_by: ClassVar[str] = "a copy of a trained module in the same optimizer"
    happening: ClassVar[type[Happening]] = HeldTeacherFound
    seen: tuple[tuple[int, HeldTeacherFound], ...]
    count: int


class HeldTeacherCurves(Evidence, frozen=True, kw_only=True):
    """At some of the first steps, by module and what was measured: `key_encoder outside`.

    Read from evenly spread elements, as shares of the module's norm. `outside` is the way that the
    module went since the step before, and `inside` that of the optimizer's step. `aligned` is the
    cosine between the first way and that to the student; `student outside` the student's way.
    """

    obtained_by: ClassVar[str] = "a copy of a trained module in the same optimizer"
    subject: ClassVar[str] = "held teacher"
    series: dict[str, Series]

    def of(self, teacher: str) -> list[dict[str, float]]:
        """Return what was measured at each look, by what it is."""
        whats = (OUTSIDE, ALIGNED, INSIDE, STUDENT_OUTSIDE)
        columns = [self.series.get(f"{teacher} {what}", Series((), ())).values for what in whats]
        return [dict(zip(whats, row, strict=True)) for row in zip(*columns, strict=True)]
