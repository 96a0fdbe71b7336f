"""What was frozen and has moved all the same."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Moved(Happening, frozen=True, kw_only=True):
    """Frozen tensors, in no optimizer, whose bits were the same at several looks, and then not.

    Nothing was loaded in between, and their dtype, shape and device stayed. Each is told of once.
    """

    opens_window: ClassVar[bool] = True
    parameters: tuple[str, ...] = ()
    statistics: tuple[str, ...] = ()  # running means and variances of frozen normalisation layers
    since: int  # optimizer steps taken when they were last seen unmoved
    until: int  # and when they were seen to have moved


class Movements(Evidence, frozen=True, kw_only=True):
    """Movements over the run."""

    obtained_by: ClassVar[str] = "a frozen tensor that moves over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = Moved
    seen: tuple[tuple[int, Moved], ...]
    count: int
