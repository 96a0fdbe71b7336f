"""Lines and recorders that the tests of recordings share."""

from collections.abc import Callable
from pathlib import Path

from stepscope.evidence.course.line import Happening, Line
from stepscope.recordings.writer import Recorder

ROOT = Path(__file__).parents[2]  # where programs find this module


class Skipped(Happening, frozen=True, kw_only=True):
    """A kind of happening of the tests' own."""

    scale: float = 0.0


def line(step: int, *happened: Happening, subject: str = "loss", **numbers: float) -> Line:
    return Line(
        step=step,
        seconds=step / 10,
        numbers={subject: numbers} if numbers else {},
        happened=happened,
    )


def recorder(
    folder: Path, said: Callable[[str], None] = print, budget: int = 48_000_000
) -> Recorder:
    return Recorder(folder, clock=lambda: 1.0, said=said, budget=budget)
