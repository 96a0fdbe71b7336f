"""Frozen parts that were in evaluation mode, and are no longer."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class ModeTurned(Happening, frozen=True, kw_only=True):
    """Frozen layers whose output depends on the mode: in evaluation mode at one step, then not.

    Each is told of once. `at` is the last `train()` on it or on a module above it, where the
    program called it.
    """

    opens_window: ClassVar[bool] = True
    modules: tuple[str, ...]
    since: int  # optimizer steps taken when they were last seen in evaluation mode
    until: int  # and when they were seen in training mode


class ModeTurns(Evidence, frozen=True, kw_only=True):
    """All such turns of the run."""

    obtained_by: ClassVar[str] = "a frozen layer that is put back over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = ModeTurned
    seen: tuple[tuple[int, ModeTurned], ...]
    count: int
