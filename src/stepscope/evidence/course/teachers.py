"""Networks that follow a trained one: momentum encoders, averages, target networks."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series

GAP, WALK, FOLLOWED = "gap", "walk", "followed"
STATISTICS, STUDENT_STATISTICS = "statistics", "student statistics"
ASLEEP = "asleep"


class TeacherFound(Happening, frozen=True, kw_only=True):
    """A module that no optimizer holds, and that began as a copy of a trained one."""

    name: str  # qualified: "dhn.key_proj"
    student: str  # "macl_head.proj"
    gap: float | None = None  # between them, as a share of the student's norm; None: not kept


class TeachersFound(Evidence, frozen=True, kw_only=True):
    """All of them, with their students."""

    obtained_by: ClassVar[str] = "an untrained copy of a trained module"
    happening: ClassVar[type[Happening]] = TeacherFound
    seen: tuple[tuple[int, TeacherFound], ...]
    count: int


class TeacherCurves(Evidence, frozen=True, kw_only=True):
    """At a few steps, before the optimizer's, by teacher and what was measured: `key_proj gap`.

    Read from evenly spread elements. `gap` is the distance between teacher and student, `walk` and
    `followed` those of the student and of the teacher from where they were first seen, each as a
    share of the student's norm. `statistics` and `student statistics` say by how much the running
    statistics are away from where they were first seen, as Euclidean norms. `asleep` is 1 where the
    teacher, called by itself since the step before, had all layers with such in evaluation mode.
    """

    obtained_by: ClassVar[str] = "an untrained copy of a trained module"
    subject: ClassVar[str] = "teacher"
    series: dict[str, Series]

    def of(self, teacher: str, what: str) -> Series:
        """Return one curve; an empty one where nothing was measured."""
        return self.series.get(f"{teacher} {what}", Series((), ()))
