"""A fault of a data set: one error that names the thing and the way out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from stepscope_systems.rgbt_detection.data.pairs import PairList


class DataFault(ValueError):  # noqa: N818 - it is a fault of the data, not of the program
    """One thing of a data set that cannot be used as it is."""

    def __init__(
        self, path: Path | str, *, found: str, expected: str, advice: str, more: int = 0
    ) -> None:
        self.path = Path(path)  # the file or folder at fault
        self.found = found
        self.expected = expected
        self.advice = advice
        self.more = more  # further faults of the same data set
        super().__init__(found)

    def __str__(self) -> str:
        sentence = f"{self.path}: {self.found}; expected {self.expected}: {self.advice}"
        if self.more:
            sentence += f" ({self.more:,} more; validation lists them all)"
        return sentence

    def __reduce__(self) -> tuple[object, ...]:
        # By default an exception is rebuilt from its positional arguments alone.
        return (_rebuilt, (self.path, self.found, self.expected, self.advice, self.more))

    def with_more(self, more: int) -> Self:
        """Return this fault as the first of several."""
        return type(self)(
            self.path, found=self.found, expected=self.expected, advice=self.advice, more=more
        )


def _rebuilt(path: Path, found: str, expected: str, advice: str, more: int) -> DataFault:
    return DataFault(path, found=found, expected=expected, advice=advice, more=more)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What reading a data set gave: its sound pairs, and a fault for each thing that is not."""

    pairs: PairList
    faults: tuple[DataFault, ...]

    def sound(self) -> PairList:
        """Return the pairs.

        Raises:
            DataFault: the first fault, when there is one.
        """
        if self.faults:
            raise self.faults[0].with_more(len(self.faults) - 1)
        return self.pairs
