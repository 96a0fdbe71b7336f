"""Thinning takes what there is most of, counts what it takes, and never a finding."""

from collections import Counter
from collections.abc import Iterable

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.evidence.course.line import Line
from stepscope.recordings.entries import Entry, decode_entry, numbered, written
from stepscope.recordings.thinning import thin
from tests.recordings.making import Skipped, line

OTHERS: tuple[dict[str, object], ...] = (
    {"found": {"code": "X001"}},
    {"window": "window-1-000001.json"},
    {"ended": "finished"},
)
NUMBERS = st.dictionaries(
    st.sampled_from(["loss", "rates", "norms"]), st.just({"a": 0.5, "b": 1}), min_size=1
)
ENTRIES = st.one_of(
    st.builds(
        lambda numbers, happened: Line(
            step=1, seconds=0.1, numbers=numbers, happened=(Skipped(),) * happened
        ).to_json(),
        NUMBERS,
        st.integers(0, 2),
    ),
    st.sampled_from(OTHERS).map(lambda parts: written(1, 0.1, **parts)),
)


def texts(entries: Iterable[bytes]) -> list[bytes]:
    return [numbered(n, text).rstrip(b"\n") for n, text in enumerate(entries, start=1)]


def lines(each: Iterable[Line]) -> list[bytes]:
    return texts(line.to_json() for line in each)


def counted(entries: Iterable[Entry]) -> Counter[str]:
    """Count happenings and lines of numbers, those that are there and those left out."""
    counts = Counter[str]()
    for entry in entries:
        counts["numbers"] += bool(entry.numbers)
        counts.update(kind for each in entry.happened for kind in each)
        counts.update(entry.left_out)
    return +counts


def decoded(thinned: Iterable[bytes]) -> list[Entry]:
    return [decode_entry(text) for text in thinned]


@settings(max_examples=50, deadline=None)
@given(st.lists(ENTRIES, max_size=30).map(texts), st.integers(0, 3000), st.integers(0, 3000))
def test_nothing_is_lost_uncounted_however_often_it_is_thinned(
    before: list[bytes], most: int, then: int
) -> None:
    after = decoded(thin(thin(before, most), then))
    assert counted(after) == counted(decoded(before))
    kept = [entry.n for entry in after]
    assert kept == sorted(set(kept))
    others = [entry.n for entry in decoded(before) if not entry.is_line]
    assert [entry.n for entry in after if not entry.is_line] == others


@settings(max_examples=50, deadline=None)
@given(st.lists(ENTRIES, max_size=30).map(texts))
def test_what_fits_stays_as_it_is(before: list[bytes]) -> None:
    room = sum(map(len, before)) + len(before)
    assert thin(before, room) == before


def test_what_does_not_fit_takes_about_the_room_that_is_there() -> None:
    before = lines(line(step, a=0.5, b=0.25) for step in range(1000))
    assert 4000 < sum(map(len, thin(before, 10_000))) <= 13_000  # with what is said of the others


def test_what_is_noted_rarely_outlives_what_is_noted_often() -> None:
    before = lines(
        msgspec.structs.replace(
            line(step, a=0.5),
            numbers={"loss": {"a": 0.5}} | ({"accuracy": {"a": 1.0}} if step % 100 == 0 else {}),
        )
        for step in range(1000)
    )
    after = decoded(thin(before, 10_000))
    assert sum("accuracy" in each.numbers for each in after) == 10
    assert 50 < sum("loss" in each.numbers for each in after) < 200


def test_happenings_stay_as_long_as_numbers_can_go() -> None:
    before = lines(line(step, Skipped(scale=2.0), a=0.5, b=0.5, c=0.5) for step in range(100))
    half = sum(map(len, before)) * 3 // 4
    after = decoded(thin(before, half))
    assert sum(len(each.happened) for each in after) == 100
    assert sum(bool(each.numbers) for each in after) < 100


def test_happenings_go_where_numbers_were_not_enough_and_their_first_stays() -> None:
    before = lines(line(step, Skipped(scale=float(step))) for step in range(100))
    after = decoded(thin(before, 1000))
    assert len(after) < 40
    assert bytes(after[0].happened[0]["Skipped"]) == bytes(
        decode_entry(before[0]).happened[0]["Skipped"]
    )


def test_what_is_no_entry_is_left_out() -> None:
    before = lines([line(1, a=0.5), line(2, a=0.5)])
    assert thin([before[0], b"", b"\0\0", before[1][:10], before[1]], 10_000) == before
