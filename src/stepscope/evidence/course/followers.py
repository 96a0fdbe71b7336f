"""What no gradient trains, and moves from the beginning: teachers, averages, momentum encoders."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Followed(Happening, frozen=True, kw_only=True):
    """Frozen parameters, in no optimizer, that had moved at the second look. Told of once."""

    parameters: tuple[str, ...]
    until: int  # optimizer steps taken at that look


class Followers(Evidence, frozen=True, kw_only=True):
    """All of them over the run."""

    obtained_by: ClassVar[str] = "a frozen tensor that moves over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = Followed
    seen: tuple[tuple[int, Followed], ...]
    count: int

    @property
    def parameters(self) -> frozenset[str]:
        """All their names."""
        return frozenset(name for _, each in self.seen for name in each.parameters)
