"""Parameters that required no gradient, and do again."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Thawed(Happening, frozen=True, kw_only=True):
    """Parameters that were frozen at one step, and not at a later one. Each is told of once.

    `at` is the last `requires_grad_(True)` on a module that holds them, where there was one.
    """

    opens_window: ClassVar[bool] = True
    parameters: tuple[str, ...]
    since: int  # optimizer steps taken when they were last seen frozen
    until: int  # and when they were seen to require a gradient


class Thaws(Evidence, frozen=True, kw_only=True):
    """All of them over the run."""

    obtained_by: ClassVar[str] = "a parameter that is thawed over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = Thawed
    seen: tuple[tuple[int, Thawed], ...]
    count: int
