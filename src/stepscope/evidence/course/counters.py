"""Counters of modules, and what the modules compare them with."""

from typing import ClassVar, NamedTuple

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class CounterFound(Happening, frozen=True, kw_only=True):
    """The class of a module compares a counter of its own with a threshold. `at` is the line."""

    name: str  # qualified: "bank.training_step"
    threshold: str  # qualified: "bank.warmup_steps"
    limit: float  # its value when the counter was found
    is_inclusive: bool  # to equal the threshold is enough
    of_bank: bool  # the module keeps a bank too

    def is_reached(self, value: float) -> bool:
        """Tell whether a value of the counter turns it on."""
        return value > self.limit or (self.is_inclusive and value == self.limit)


class Count(NamedTuple):
    """How a counter came on while it was watched."""

    last: float
    rise: float  # for each optimizer step
    due: float  # optimizer steps after which it reaches its threshold, at this rise


def count_of(found: CounterFound, curve: Series) -> Count | None:
    """Return how it came on; None where it has reached its threshold, or does not rise steadily.

    Steadily is within a tenth, in both halves of what is known.
    """
    steps, values = curve.steps, curve.values
    if len(curve) < 3 or any(map(found.is_reached, values)):  # noqa: PLR2004 - two halves
        return None
    middle = len(curve) // 2
    halves = [
        (values[end] - values[start]) / (steps[end] - steps[start])
        for start, end in ((0, middle), (middle, -1))
    ]
    rise = (values[-1] - values[0]) / (steps[-1] - steps[0])
    if rise <= 0 or any(abs(half - rise) > 0.1 * rise for half in halves):
        return None
    missing = found.limit - values[-1] + (0 if found.is_inclusive else 1)
    return Count(values[-1], rise, steps[-1] + 1 + missing / rise)


class CountersFound(Evidence, frozen=True, kw_only=True):
    """Counters whose threshold is named like a beginning: `warmup_steps`, `start_iter`."""

    obtained_by: ClassVar[str] = "a module that compares a counter with a beginning"
    happening: ClassVar[type[Happening]] = CounterFound
    seen: tuple[tuple[int, CounterFound], ...]
    count: int


class CounterCurves(Evidence, frozen=True, kw_only=True):
    """The values of these counters at the end of sampled steps, by name."""

    obtained_by: ClassVar[str] = "a module that compares a counter with a beginning"
    subject: ClassVar[str] = "counter"
    series: dict[str, Series]
