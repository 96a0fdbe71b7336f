"""How a run came to its end, in so far as its own process could tell."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class RunEnded(Happening, frozen=True, kw_only=True):
    """The last thing that is noted; not there while a run goes, and not if it was killed."""

    finished: bool  # it came to its own end; False: an exception or the user ended it
    error: str = ""  # "KeyboardInterrupt"


class Endings(Evidence, frozen=True, kw_only=True):
    """The end of the run."""

    obtained_by: ClassVar[str] = "the end of the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = RunEnded
    seen: tuple[tuple[int, RunEnded], ...]
    count: int

    @property
    def steps(self) -> int | None:
        """Optimizer steps of a run that came to its own end; None of any other."""
        step, end = self.seen[-1]
        return step if end.finished else None
