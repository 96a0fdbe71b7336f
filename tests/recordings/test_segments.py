"""Entries lie in files whose room is bounded, and come back in order, each once."""

import errno
import os
from collections import Counter
from pathlib import Path

import pytest

from stepscope.evidence.course.line import Line
from stepscope.recordings import segments as segments_room
from stepscope.recordings.entries import numbered
from stepscope.recordings.files import SegmentName, segments
from stepscope.recordings.segments import Segments
from stepscope.recordings.tail import Tail
from tests.recordings.making import line

ROOM = 24_000


def filled(folder: Path, lines: int, room: int = ROOM) -> Segments:
    written = Segments(folder, room)
    for n in range(lines):
        written.append(bytearray(numbered(n + 1, line(n, a=n / 7, b=n / 3).to_json())))
    written.close()
    return written


def steps(folder: Path, part: int = 1) -> list[int]:
    return [entry.step for entry, _ in Tail(folder, part).new()]


def size(folder: Path) -> int:
    return sum(each.stat().st_size for each in folder.iterdir())


def test_what_has_room_is_all_there(tmp_path: Path) -> None:
    filled(tmp_path, 200)
    assert steps(tmp_path) == list(range(200))
    assert len(segments(tmp_path)) > 5


def test_no_number_of_lines_takes_more_than_the_room(tmp_path: Path) -> None:
    for part, lines in enumerate((500, 1000, 2000, 4000), start=1):
        before = size(tmp_path)
        filled(tmp_path, lines)
        assert size(tmp_path) - before <= ROOM
        kept = steps(tmp_path, part)
        assert kept == sorted(set(kept))


@pytest.mark.corpus
def test_a_million_lines_take_no_more_than_the_room(tmp_path: Path) -> None:
    room, total = 1_000_000, 10**6
    written, waiting = Segments(tmp_path, room), bytearray()
    largest = 0
    for n in range(1, total + 1):
        waiting += b'{"n":%d,"step":%d,"seconds":%d,"numbers":{"loss":{"a":0.125}}}\n' % (n, n, n)
        if n % 100 == 0:
            written.append(waiting)
        if n % 10_000 == 0:
            largest = max(largest, size(tmp_path))
    written.close()
    assert largest <= room
    lines = [Line.from_json(text, ()) for _, text in Tail(tmp_path, 1).new()]
    assert sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in lines) == total
    tenths = Counter(min(9, each.step * 10 // total) for each in lines)
    assert min(tenths[tenth] for tenth in range(10)) > 50


def test_the_beginning_and_the_end_are_kept_as_they_were(tmp_path: Path) -> None:
    filled(tmp_path, 4000)
    kept = steps(tmp_path)
    assert kept[:10] == list(range(10))
    assert kept[-10:] == list(range(3990, 4000))


def test_no_stretch_of_a_run_is_without_lines(tmp_path: Path) -> None:
    filled(tmp_path, 4000)
    tenths = Counter(step // 400 for step in steps(tmp_path))
    assert min(tenths[tenth] for tenth in range(10)) >= 3


def test_all_that_was_ever_written_is_counted(tmp_path: Path) -> None:
    filled(tmp_path, 2000)
    lines = [Line.from_json(text, ()) for _, text in Tail(tmp_path, 1).new()]
    assert sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in lines) == 2000


def stays(path: Path, *, missing_ok: bool) -> None:
    """Stand in for `Path.unlink`, in a process that dies before it."""


def test_a_process_that_dies_between_joining_and_removing_leaves_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    filled(tmp_path / "as it is meant", 1000)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", stays)
        filled(tmp_path / "nothing is removed", 1000)
    assert len(list((tmp_path / "nothing is removed").iterdir())) > 40
    assert steps(tmp_path / "nothing is removed") == steps(tmp_path / "as it is meant")


def test_a_second_process_has_files_of_its_own(tmp_path: Path) -> None:
    first, second = Segments(tmp_path, ROOM), Segments(tmp_path, ROOM)
    for n in range(1, 300):
        first.append(bytearray(numbered(n, line(n, a=1.0).to_json())))
        second.append(bytearray(numbered(n, line(1000 + n, a=1.0).to_json())))
    assert (first.part, second.part) == (1, 2)
    assert steps(tmp_path, 1) == list(range(1, 300))
    assert steps(tmp_path, 2) == list(range(1001, 1300))
    first.close()
    second.close()


def test_a_disk_that_takes_little_at_once_gets_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    monkeypatch.setattr(segments_room.os, "write", lambda file, data: write(file, data[:7]))
    filled(tmp_path, 50)
    assert steps(tmp_path) == list(range(50))


def test_what_a_full_disk_took_half_of_is_continued_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, takes = os.write, [20, None, 5, None]

    def taken(file: int, data: bytearray) -> int:
        most = takes.pop(0) if takes else len(data)
        if most is None:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write(file, data[:most])

    monkeypatch.setattr(segments_room.os, "write", taken)
    written, waiting = Segments(tmp_path, 24), bytearray(numbered(1, line(1, a=1.0).to_json()))
    for _ in range(2):
        with pytest.raises(OSError, match="No space"):
            written.append(waiting)
    waiting += numbered(2, line(2, a=1.0).to_json())
    written.append(waiting)
    written.close()
    assert not waiting
    assert steps(tmp_path) == [1, 2]


def test_a_file_that_its_server_has_forgotten_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, fails = os.write, [True]

    def forgotten(file: int, data: bytearray) -> int:
        if fails and fails.pop():
            raise OSError(errno.ESTALE, "Stale file handle")
        return write(file, data)

    written = Segments(tmp_path, ROOM)
    written.append(bytearray(numbered(1, line(1, a=1.0).to_json())))
    monkeypatch.setattr(segments_room.os, "write", forgotten)
    waiting = bytearray(numbered(2, line(2, a=1.0).to_json()))
    with pytest.raises(OSError, match="Stale"):
        written.append(waiting)
    written.append(waiting)
    written.close()
    assert steps(tmp_path) == [1, 2]
    assert len(segments(tmp_path)) == 2


@pytest.mark.parametrize("gone", ["the file", "the folder"])
def test_files_that_were_deleted_are_not_made_again(tmp_path: Path, gone: str) -> None:
    folder = tmp_path / "rank-0"
    written = Segments(folder, ROOM)
    written.append(bytearray(numbered(1, line(1, a=1.0).to_json())))
    for each in folder.iterdir():
        each.unlink()
    if gone == "the folder":
        folder.rmdir()
    with pytest.raises(FileNotFoundError, match="was deleted"):
        written.append(bytearray(numbered(2, line(2, a=1.0).to_json())))
    written.close()
    assert not folder.exists() or not any(folder.iterdir())


def test_names_of_files_are_read_as_they_are_written(tmp_path: Path) -> None:
    names = [SegmentName(1, 1, 1), SegmentName(1, 2, 9), SegmentName(2, 10, 10)]
    for each in (*names, SegmentName(1, 3, 4), SegmentName(1, 2, 2)):
        (tmp_path / str(each)).touch()
    for other in ("lines-1.part", "lines-1-x.jsonl", "lines-1-1-2-3.jsonl", "lines-2-11.json"):
        (tmp_path / other).touch()
    (tmp_path / str(SegmentName(3, 1, 1))).mkdir()
    os.mkfifo(tmp_path / str(SegmentName(4, 1, 1)))
    assert segments(tmp_path) == names
