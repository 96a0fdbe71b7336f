"""Who follows a run sees each entry once, in order, as it comes."""

import itertools
import shutil
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stepscope.core import Finding, Severity
from stepscope.evidence.course.line import Line
from stepscope.recordings.entries import Ended, Found
from stepscope.recordings.folder import RunFolder, begin
from stepscope.recordings.following import follow
from stepscope.recordings.tail import Tail
from tests.recordings.making import line, recorder

FINDING = Finding(subject="a", message="b", measured="c", expected="d")


def followed(run: RunFolder, **options: Callable[[], bool]) -> Iterator[tuple[int, object]]:
    return follow(run.path, (), every=0.01, **options)


def after(looks: int) -> Callable[[], bool]:
    count = itertools.count(1)
    return lambda: next(count) >= looks


def test_a_run_that_has_ended_is_told_to_its_end(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    recording = recorder(run.rank(0))
    recording.line(line(1, a=0.5))
    recording.finding(1, "X001", Severity.NOTE, FINDING)
    recording.close(2, "finished")
    told = list(followed(run))
    assert told == [
        (0, line(1, a=0.5)),
        (0, Found(step=1, seconds=1.0, code="X001", severity=Severity.NOTE, finding=FINDING)),
        (0, Ended(step=2, seconds=1.0, how="finished")),
    ]


def test_entries_come_while_the_run_goes_on(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    recording = recorder(run.rank(0))
    told = followed(run)
    for step in range(3):
        recording.line(line(step, a=0.5))
        recording.flush()
        assert next(told) == (0, line(step, a=0.5))
    recording.close(3, "raised")
    assert next(told) == (0, Ended(step=3, seconds=1.0, how="raised"))
    assert list(told) == []


def test_all_ranks_are_waited_for(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py", ranks=2)
    recorder(run.rank(1)).close(1, "finished")
    told = followed(run)
    assert next(told) == (1, Ended(step=1, seconds=1.0, how="finished"))
    recorder(run.rank(0)).close(2, "finished")
    assert list(told) == [(0, Ended(step=2, seconds=1.0, how="finished"))]


def test_a_rank_that_goes_on_is_waited_for_when_another_has_ended(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py", ranks=2)
    slower = recorder(run.rank(0))
    slower.line(line(1, a=0.5))
    slower.flush()
    recorder(run.rank(1)).close(1, "finished")
    told = followed(run)
    assert [rank for rank, _ in (next(told), next(told))] == [0, 1]
    slower.close(2, "finished")
    assert list(told) == [(0, Ended(step=2, seconds=1.0, how="finished"))]


def test_a_rank_that_was_started_again_is_waited_for(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    first = recorder(run.rank(0))
    first.line(line(1, a=0.5))
    first.flush()
    second = recorder(run.rank(0))
    second.close(2, "finished")
    assert list(followed(run)) == [
        (0, line(1, a=0.5)),
        (0, Ended(step=2, seconds=1.0, how="finished")),
    ]
    first.close(1, "raised")


def test_a_half_of_a_line_is_waited_for(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    run.rank(0).mkdir()
    text = b'{"n":1,"step":1,"seconds":0.1,"numbers":{"loss":{"a":0.5}}}\n'
    with (run.rank(0) / "lines-1-000001.jsonl").open("ab", buffering=0) as file:
        file.write(text[:20])
        assert list(followed(run, stop=after(2))) == []
        tail = Tail(run.rank(0), 1)
        assert list(tail.new()) == []
        file.write(text[20:40])
        assert list(tail.new()) == []
        file.write(text[40:])
        assert [entry.step for entry, _ in tail.new()] == [1]
    assert not tail.damage


def test_who_has_seen_enough_can_stop(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    recording = recorder(run.rank(0))
    recording.line(line(1, a=0.5))
    recording.flush()
    assert list(followed(run, stop=after(3))) == [(0, line(1, a=0.5))]
    recording.close(1, "finished")


def test_a_run_that_is_deleted_has_ended(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    told = followed(run)
    threading.Timer(0.05, shutil.rmtree, [run.path]).start()
    assert list(told) == []


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"holds no run\.json"):
        next(follow(tmp_path, ()))


def test_nothing_is_told_twice_while_files_are_joined(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    recording = recorder(run.rank(0), budget=60_000)
    told: list[object] = []
    follower = threading.Thread(target=lambda: told.extend(each for _, each in followed(run)))
    follower.start()
    for step in range(4000):
        recording.line(line(step, a=0.5))
        if step % 10 == 0:
            recording.flush()
    recording.finding(4000, "X001", Severity.NOTE, FINDING)
    recording.close(4000, "finished")
    follower.join(30)
    counts = Counter(each.step for each in told if isinstance(each, Line) and each.numbers)
    assert set(counts.values()) == {1}
    assert list(counts) == sorted(counts)
    assert [type(each) for each in told[-2:]] == [Found, Ended]


def test_who_was_away_while_files_were_joined_misses_no_finding(tmp_path: Path) -> None:
    run = begin(tmp_path, "train.py")
    recording = recorder(run.rank(0), budget=60_000)
    for step in range(110):  # of which it has read some files
        recording.line(line(step, a=0.5))
    recording.flush()
    told = followed(run)
    assert [next(told) for _ in range(110)] == [(0, line(step, a=0.5)) for step in range(110)]
    for step in range(110, 4000):
        recording.line(line(step, a=0.5))
        if step % 500 == 0:
            recording.finding(step, "X001", Severity.NOTE, FINDING)
            recording.flush()
    recording.close(4000, "finished")
    rest = [each for _, each in told]
    assert [each.step for each in rest if isinstance(each, Found)] == list(range(500, 4000, 500))
    steps = [each.step for each in rest if isinstance(each, Line)]
    assert steps == sorted(set(steps))
    assert steps[0] >= 110
