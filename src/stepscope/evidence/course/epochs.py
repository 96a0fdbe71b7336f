"""The epochs of a run, as a framework or the program counts them."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class EpochBegan(Happening, frozen=True, kw_only=True):
    """A pass over the training data begins. The one before it, if any, is over."""

    number: int  # from 0; of the whole training, where the run was resumed
    planned: int | None = None  # epochs of the whole training


class EpochEnded(Happening, frozen=True, kw_only=True):
    """A pass over the training data is over, with all that is measured at its end."""

    number: int


class Epochs(Evidence, frozen=True, kw_only=True):
    """When each epoch began: the first and the last 200 of them."""

    obtained_by: ClassVar[str] = "an epoch that a framework or `run.epoch` tells of"
    happening: ClassVar[type[Happening]] = EpochBegan
    seen: tuple[tuple[int, EpochBegan], ...]
    count: int


class EpochEnds(Evidence, frozen=True, kw_only=True):
    """When each epoch was over: the first and the last 200 of them."""

    obtained_by: ClassVar[str] = "the end of an epoch that a framework or `run.epoch` tells of"
    happening: ClassVar[type[Happening]] = EpochEnded
    seen: tuple[tuple[int, EpochEnded], ...]
    count: int
