"""Loads after the first step of a run, and the numbers that they replaced."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place
from stepscope.evidence.checkpoints import OptimizerLoad, ValueBefore
from stepscope.evidence.course.line import Happening


class NumbersLoaded(msgspec.Struct, frozen=True, kw_only=True):
    """A load into a module that replaced single-element tensors."""

    numbers: tuple[ValueBefore, ...]  # qualified names
    at: Place


class LoadedLater(Happening, frozen=True, kw_only=True):
    """All loads between two steps, told when the second one is over.

    `at_start` of a number is then `after` if it lies nearer to that than to what was before.
    """

    modules: tuple[NumbersLoaded, ...]
    optimizers: tuple[OptimizerLoad, ...]  # those that were given a state
    steps: int  # that these states have counted, the largest number; 0: none


class LaterLoads(Evidence, frozen=True, kw_only=True):
    """The loads that replaced a number or gave an optimizer a state, in order."""

    obtained_by: ClassVar[str] = "a load after the first step of a run that is watched"
    happening: ClassVar[type[Happening]] = LoadedLater
    seen: tuple[tuple[int, LoadedLater], ...]
    count: int
