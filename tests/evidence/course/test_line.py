"""A line of a run is read back as it was written."""

import math
import string

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.core import Place
from stepscope.evidence.course.line import Happening, Line

NAMES = st.text(st.characters(codec="utf-8"), max_size=8)
NUMBERS = st.floats(allow_nan=False)


class Skipped(Happening, frozen=True, kw_only=True):
    scale: float = 0.0
    why: str = ""


class Unfrozen(Happening, frozen=True, kw_only=True):
    names: tuple[str, ...] = ()


HAPPENINGS = st.one_of(
    st.builds(Skipped, at=st.builds(Place, module=NAMES), scale=NUMBERS, why=NAMES),
    st.builds(Unfrozen, names=st.lists(NAMES, max_size=3).map(tuple)),
)
LINES = st.builds(
    Line,
    step=st.integers(0, 2**40),
    seconds=st.integers(0, 10**9).map(lambda ms: round(ms / 1000, 3)),
    numbers=st.dictionaries(NAMES, st.dictionaries(NAMES, NUMBERS, max_size=4), max_size=4),
    happened=st.lists(HAPPENINGS, max_size=3).map(tuple),
    left_out=st.dictionaries(st.text(string.ascii_letters), st.integers(1, 9), max_size=2),
)


@settings(max_examples=50, deadline=None)
@given(LINES)
def test_what_is_written_is_read_back(line: Line) -> None:
    text = line.to_json()
    assert b"\n" not in text
    assert Line.from_json(text, [Skipped, Unfrozen]) == line


def test_what_is_not_finite_is_read_back_as_the_number() -> None:
    numbers = {"a": math.nan, "b": math.inf, "c": -math.inf, "d": 1.0}
    line = Line(step=1, seconds=0.0, numbers={"loss": numbers})
    read = Line.from_json(line.to_json(), ()).numbers["loss"]
    assert math.isnan(read.pop("a"))
    assert read == {"b": math.inf, "c": -math.inf, "d": 1.0}


def test_finite_numbers_whose_sum_is_not_are_read_back_as_they_were() -> None:
    numbers = {"loss": {"a": 1.7e308, "b": 1.7e308}}
    line = Line(step=1, seconds=0.0, numbers=numbers)
    assert Line.from_json(line.to_json(), ()).numbers == numbers


def test_a_name_with_half_a_character_can_be_written() -> None:
    line = Line(step=1, seconds=0.0, numbers={"loss": {"\udcff": 1.0}})
    assert Line.from_json(line.to_json(), ()).numbers == {"loss": {"\\udcff": 1.0}}


def test_kinds_that_are_not_asked_for_are_left_out() -> None:
    line = Line(step=1, seconds=0.0, happened=(Skipped(scale=2.0), Unfrozen()))
    assert Line.from_json(line.to_json(), [Unfrozen]).happened == (Unfrozen(),)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b'{"step": 1}', b'{"step": 1, "seconds": 0, "numbers": {"loss": 3}}'],
)
def test_what_is_no_line_is_refused(text: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        Line.from_json(text, ())
