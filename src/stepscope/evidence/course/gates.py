"""Gates: results of a sigmoid or a softmax that multiply features."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series

LOWEST, HIGHEST = "lowest", "highest"


class GateFound(Happening, frozen=True, kw_only=True):
    """A product of such a result with a feature, as it was first seen in a backward."""

    number: int  # in the order of finding
    function: str  # "sigmoid", "softmax"
    gate: str  # the parameter that the gate is computed with, the nearest one
    gated: tuple[str, ...]  # the parameters that the feature is computed with, the nearest ones


class GatesFound(Evidence, frozen=True, kw_only=True):
    """All of them, in the order of finding."""

    obtained_by: ClassVar[str] = "a sigmoid or a softmax that multiplies a feature"
    happening: ClassVar[type[Happening]] = GateFound
    seen: tuple[tuple[int, GateFound], ...]
    count: int


class GateCurves(Evidence, frozen=True, kw_only=True):
    """At a few steps, the `lowest` and `highest` factor of a gate over a batch: `0 lowest`."""

    obtained_by: ClassVar[str] = "a sigmoid or a softmax that multiplies a feature"
    subject: ClassVar[str] = "gate"
    series: dict[str, Series]

    def of(self, number: int) -> list[tuple[int, float, float]]:
        """Return the step, the lowest, and the highest factor at each look at a gate."""
        lowest = self.series.get(f"{number} {LOWEST}", Series((), ()))
        highest = self.series.get(f"{number} {HIGHEST}", Series((), ()))
        return [
            (step, low, high)
            for (step, low), high in zip(lowest, highest.values, strict=True)
        ]  # fmt: skip
