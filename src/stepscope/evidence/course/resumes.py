"""States that were loaded into optimizers, and where their schedulers stood then."""

from typing import ClassVar

from stepscope.core import Evidence, Place
from stepscope.evidence.course.line import Happening


class OptimizerLoaded(Happening, frozen=True, kw_only=True):
    """A state with moments was loaded into an optimizer. `at` is the program's line."""

    opens_window: ClassVar[bool] = True
    optimizer: int  # in the order of making
    kind: str  # class name
    steps: int | None  # that the state has counted; None: it counts none, or on a device


class OptimizerLoads(Evidence, frozen=True, kw_only=True):
    """The resumes of the run, in order."""

    obtained_by: ClassVar[str] = "a state that is loaded into an optimizer"
    happening: ClassVar[type[Happening]] = OptimizerLoaded
    seen: tuple[tuple[int, OptimizerLoaded], ...]
    count: int


class ScheduleResumed(Happening, frozen=True, kw_only=True):
    """Where the schedulers of an optimizer stood at its first step after such a load.

    Told only where the loaded groups had been under a scheduler. `at` is the line that loaded.
    """

    optimizer: int  # in the order of making
    kind: str  # class name
    schedulers: tuple[str, ...]  # class names
    loaded: int  # of these, given a state
    furthest: int  # steps that the furthest has taken, or was told to have taken
    steps: int | None  # that the optimizer's state has counted
    made_at: Place  # the line that made the first of them


class SchedulesResumed(Evidence, frozen=True, kw_only=True):
    """The schedulers after each resume, in order."""

    obtained_by: ClassVar[str] = "an optimizer that is resumed, and has a torch scheduler"
    happening: ClassVar[type[Happening]] = ScheduleResumed
    seen: tuple[tuple[int, ScheduleResumed], ...]
    count: int
