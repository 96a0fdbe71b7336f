"""What is written down while a run goes: a line for each sampled step, and for what happens."""

import functools
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar, Self

import msgspec

from stepscope.core import Place
from stepscope.core.recording import Recording, sayable


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """Something that happens now and then. Each kind is a subclass, known by its name."""

    opens_window: ClassVar[bool] = False  # a turning point: worth a look with all probes
    at: Place = Place()

    @property
    def is_telling(self) -> bool:
        """Whether a rule may go by it alone: the first of its kind is then judged at once."""
        return False

    @classmethod
    def seen_in(cls, window: Recording) -> Iterator[Self]:  # noqa: ARG003
        """Yield what a look with all probes tells, for a kind that follows it over the looks."""
        return iter(())


NUMBERS = "numbers"  # in `Line.left_out`: lines of numbers; no kind of happening is named so


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a recording."""

    step: int  # optimizer steps that were taken before
    seconds: float  # since the run began
    numbers: dict[str, dict[str, float]] = {}  # subject -> name -> number
    happened: tuple[Happening, ...] = ()
    left_out: dict[
        str, int
    ] = {}  # what a thinned recording had before: happenings by kind, NUMBERS

    def to_json(self) -> bytes:
        """Write one line of JSON Lines, without the line's end.

        What is not finite is written as a word, and read back as the number.
        """
        written: dict[str, object] = {"step": self.step, "seconds": round(self.seconds, 3)}
        if self.numbers:
            written["numbers"] = (
                self.numbers if _are_finite(self.numbers) else sayable(self.numbers)
            )
        if self.happened:
            written["happened"] = [
                {type(each).__name__: sayable(msgspec.to_builtins(each))} for each in self.happened
            ]
        if self.left_out:
            written["left_out"] = self.left_out
        try:
            return msgspec.json.encode(written)
        except UnicodeEncodeError:  # a name with a half of a character, which is rare
            return msgspec.json.encode(sayable(written))

    @classmethod
    def from_json(cls, text: bytes, kinds: Iterable[type[Happening]]) -> Self:
        """Read what `to_json` wrote; kinds of happenings that are not listed are left out.

        Raises:
            msgspec.DecodeError: the text is no JSON, or is no line of a recording.
        """
        raw = _decoder().decode(text)
        named = {kind.__name__: kind for kind in kinds}
        return cls(
            step=raw.step,
            seconds=raw.seconds,
            numbers=raw.numbers,
            happened=tuple(
                msgspec.json.decode(facts, type=named[name], strict=False)
                for each in raw.happened
                for name, facts in each.items()
                if name in named
            ),
            left_out=raw.left_out,
        )


def _are_finite(numbers: Mapping[str, Mapping[str, float]]) -> bool:
    """Tell whether all are for sure: a sum that overflows says no, and costs only time."""
    return all(math.isfinite(sum(named.values())) for named in numbers.values())


class _Written(msgspec.Struct, frozen=True):
    step: int
    seconds: float
    numbers: dict[str, dict[str, float]] = {}
    happened: tuple[dict[str, msgspec.Raw], ...] = ()
    left_out: dict[str, int] = {}


@functools.cache
def _decoder() -> "msgspec.json.Decoder[_Written]":
    return msgspec.json.Decoder(_Written, strict=False)
