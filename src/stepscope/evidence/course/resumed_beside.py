"""What else went on, or began anew, where an optimizer was resumed."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class ResumedBeside(Happening, frozen=True, kw_only=True):
    """Told when the first step after such a load is over. `at` is the line that loaded."""

    optimizer: int  # in the order of making
    kind: str  # class name
    steps: int  # that the loaded state has counted
    scalers: int  # gradient scalers in use that scaled nothing before the load
    scalers_loaded: int  # of these, given a state
    random_restored: bool | None  # a random state was set; None: it could not be seen


class ResumesBeside(Evidence, frozen=True, kw_only=True):
    """The resumes of the run, in order."""

    obtained_by: ClassVar[str] = "a state that is loaded into an optimizer"
    happening: ClassVar[type[Happening]] = ResumedBeside
    seen: tuple[tuple[int, ResumedBeside], ...]
    count: int
