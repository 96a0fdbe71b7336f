"""Which numbers an option takes: refused where a configuration is made, whoever makes it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """Numbers from `least` to `most`; an open end is not among them."""

    least: float = -math.inf
    most: float = math.inf
    is_open_below: bool = False
    is_open_above: bool = False

    def holds(self, number: float) -> bool:
        """Return whether a number is among them; NaN is in no range."""
        is_above = self.least < number if self.is_open_below else self.least <= number
        is_below = number < self.most if self.is_open_above else number <= self.most
        return is_above and is_below

    def __str__(self) -> str:
        """Say it in words.

        >>> str(Range(least=1)), str(Range(least=0, most=1, is_open_above=True))
        ('1 or more', '0 or more and below 1')
        """
        least, most = f"{self.least:.10g}", f"{self.most:.10g}"
        if not (self.is_open_below or self.is_open_above) and math.isfinite(self.most):
            return f"{least} to {most}"
        above = f"above {least}" if self.is_open_below else f"{least} or more"
        if math.isinf(self.most):
            return above
        return f"{above} and {'below' if self.is_open_above else 'at most'} {most}"


def at_least(least: float) -> Range:
    """Return the range without an upper end."""
    return Range(least=least)


POSITIVE = Range(least=0, is_open_below=True, is_open_above=True)
SHARE = Range(least=0, most=1)


def expect_within(section: str, options: object, ranges: Mapping[str, Range]) -> None:
    """Hold the options of a section to their ranges; each number of a tuple by itself.

    Raises:
        ValueError: an option lies outside.
    """
    for name, allowed in ranges.items():
        value = getattr(options, name)
        for each in value if isinstance(value, tuple) else (value,):
            if not allowed.holds(each):
                raise ValueError(f"{section}.{name} is {value}; expected {allowed}")
