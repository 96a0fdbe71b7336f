"""One number over the steps of a run."""

from collections.abc import Iterator

import msgspec

HEAD = 64  # first points, of which all are kept
RECENT = 480  # last points, of which all are kept
MOST = 1024  # points; beyond it, those between first and last are kept at wider intervals


class Series(msgspec.Struct, frozen=True):
    """Points of a curve, in the order of their steps."""

    steps: tuple[int, ...]
    values: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.steps)

    def __iter__(self) -> Iterator[tuple[int, float]]:
        return zip(self.steps, self.values, strict=True)


class Growing:
    """A curve while it is drawn, of which all time takes no more than `MOST` points.

    The first points and the last are all there; of those between, every second one, or every
    fourth, so that each stretch of the run is seen equally well.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._values: list[float] = []
        self._numbers: list[int] = []  # of the points, of all that there were
        self._every = 1  # number that is kept between the first points and the last

    def add(self, step: int, value: float) -> None:
        """Add a point. One of the same step, or of a later one, as after a resume, gives way."""
        while self._steps and self._steps[-1] >= step:
            del self._steps[-1], self._values[-1], self._numbers[-1]
        self._numbers.append(self._numbers[-1] + 1 if self._numbers else 0)
        self._steps.append(step)
        self._values.append(value)
        if len(self._steps) > MOST:
            self._widen()

    def series(self) -> Series:
        """Return what there is."""
        return Series(tuple(self._steps), tuple(self._values))

    def _widen(self) -> None:
        between = range(HEAD, len(self._steps) - RECENT)
        kept = [at for at in between if self._numbers[at] % self._every == 0]
        if 2 * len(kept) > len(between):
            self._every *= 2
            kept = [at for at in kept if self._numbers[at] % self._every == 0]
        self._steps[HEAD:-RECENT] = [self._steps[at] for at in kept]
        self._values[HEAD:-RECENT] = [self._values[at] for at in kept]
        self._numbers[HEAD:-RECENT] = [self._numbers[at] for at in kept]
