"""What is handed to a recorder is in its files soon, and the run never waits for it."""

import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stepscope.core import Finding, Place, Recording, Severity
from stepscope.evidence.course.line import Line
from stepscope.evidence.intent import Intent
from stepscope.recordings import writer
from stepscope.recordings.entries import Ended, Found, Window
from stepscope.recordings.reader import RankRecorded
from stepscope.recordings.writer import Recorder
from tests.recordings.making import ROOT, Skipped, line, recorder

FINDING = Finding(
    subject="backbone",
    message="it stands still",
    measured="0 of 159",
    expected="159",
    at=Place(file="train.py", line=3),
)


def recorded(folder: Path) -> RankRecorded:
    return RankRecorded(0, folder)


def lines(folder: Path) -> list[Line]:
    return list(recorded(folder).lines([Skipped]))


def test_all_that_is_recorded_is_read_back(tmp_path: Path) -> None:
    seen = Recording(Intent(classes=7))
    recording = recorder(tmp_path)
    recording.line(line(1, a=0.5))
    recording.window(2, seen)
    recording.finding(2, "FRZ001", Severity.ERROR, FINDING)
    recording.line(line(3, Skipped(at=Place(module="head"), scale=0.1)))
    recording.close(3, "finished")
    read = recorded(tmp_path)
    found = Found(step=2, seconds=1.0, code="FRZ001", severity=Severity.ERROR, finding=FINDING)
    ended = Ended(step=3, seconds=1.0, how="finished")
    first, last = line(1, a=0.5), line(3, Skipped(at=Place(module="head"), scale=0.1))
    assert [said for _, said in read.entries([Skipped])] == [first, found, last, ended]
    assert [entry.n for entry, _ in read.entries([Skipped])] == [1, 3, 4, 5]  # 2: the window
    assert list(read.lines([Skipped])) == [first, last]
    assert read.findings() == (found,)
    assert read.ended == ended
    (window,) = read.windows([Intent])
    assert (window.step, window.seconds, list(window.seen)) == (2, 1.0, [Intent(classes=7)])
    assert read.damage == ()


@settings(max_examples=10, deadline=None)
@given(
    st.lists(
        st.builds(
            lambda step, numbers, scales: Line(
                step=step,
                seconds=0.25,
                numbers=numbers,
                happened=tuple(Skipped(scale=each) for each in scales),
            ),
            st.integers(0, 2**40),
            st.dictionaries(st.text(), st.dictionaries(st.text(), st.floats(allow_nan=False))),
            st.lists(st.floats(allow_nan=False), max_size=2),
        ),
        max_size=10,
    )
)
def test_lines_are_read_back_as_they_were(handed: list[Line]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        recording = recorder(Path(folder))
        for each in handed:
            recording.line(each)
        recording.close(0, "finished")
        assert lines(Path(folder)) == handed


def test_what_was_handed_over_is_in_the_file_a_second_later(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.line(line(1, a=0.5))
    end = time.monotonic() + 1.0
    while not lines(tmp_path) and time.monotonic() < end:
        time.sleep(0.02)
    assert lines(tmp_path) == [line(1, a=0.5)]
    assert recorded(tmp_path).ended is None
    recording.close(1, "finished")


def test_a_flush_brings_all_to_the_file_at_once(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    for step in range(500):
        recording.line(line(step, a=0.5))
    assert recording.flush()
    assert len(lines(tmp_path)) == 500
    recording.close(500, "finished")


def test_nothing_is_recorded_after_the_end(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.close(0, "raised")
    recording.line(line(1, a=0.5))
    recording.finding(1, "FRZ001", Severity.ERROR, FINDING)
    recording.close(1, "finished")
    assert not recording.flush()
    assert recorded(tmp_path).ended == Ended(step=0, seconds=1.0, how="raised")
    assert lines(tmp_path) == []
    assert not recording._thread.is_alive()


def test_a_folder_is_made_only_when_something_is_written(tmp_path: Path) -> None:
    recording = recorder(tmp_path / "run" / "rank-3")
    assert not (tmp_path / "run").exists()
    recording.close(0, "finished")
    assert [each.name for each in (tmp_path / "run" / "rank-3").iterdir()] == [
        "lines-1-000001.jsonl"
    ]


def test_two_recorders_in_one_folder_do_not_disturb_each_other(tmp_path: Path) -> None:
    first, second = recorder(tmp_path, budget=60_000), recorder(tmp_path, budget=60_000)
    for step in range(0, 2000, 2):
        first.line(line(step, a=0.5))
        second.line(line(step + 1, a=0.5))
    first.close(2000, "finished")
    second.close(2001, "finished")
    kept = lines(tmp_path)
    total = sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in kept)
    assert total == 2000
    assert [each.step % 2 for each in kept] == sorted(each.step % 2 for each in kept)
    assert recorded(tmp_path).damage == ()


def test_a_forked_child_leaves_the_files_to_its_parent(tmp_path: Path) -> None:
    recording = recorder(tmp_path)
    recording.line(line(1, a=0.5))
    child = os.fork()
    if not child:
        recording.line(line(2, a=0.5))
        recording.finding(2, "FRZ001", Severity.ERROR, FINDING)
        began = time.monotonic()
        was_flushed = recording.flush()
        recording.close(2, "finished")
        os._exit(was_flushed or time.monotonic() - began > 0.5)
    assert os.waitpid(child, 0)[1] == 0
    recording.line(line(3, a=0.5))
    recording.close(3, "finished")
    assert [each.step for each in lines(tmp_path)] == [1, 3]


def test_a_program_that_ends_without_closing_loses_nothing(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from pathlib import Path\n"
        "from tests.recordings.making import line, recorder\n"
        "recording = recorder(Path(sys.argv[1]))\n"
        "for step in range(100): recording.line(line(step, a=0.5))\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program, tmp_path], check=True, timeout=60, cwd=ROOT)
    assert len(lines(tmp_path)) == 100


def test_a_line_that_is_no_line_is_said_once_and_costs_no_other(tmp_path: Path) -> None:
    said: list[str] = []
    recording = recorder(tmp_path, said.append)
    for step in range(4):
        recording.line(line(step, a=object() if step in (1, 2) else 0.5))  # type: ignore[arg-type]
    recording.close(4, "finished")
    assert len(said) == 1
    assert "cannot be written" in said[0]
    assert [(each.step, each.left_out) for each in lines(tmp_path)] == [
        (0, {}),
        (3, {"numbers": 2}),
        (3, {}),
    ]


def test_a_line_that_is_as_long_as_the_budget_is_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    recording = recorder(tmp_path, said.append, budget=100_000)
    recording.line(line(1, **{f"layer{number}": 0.5 for number in range(5000)}))
    recording.line(line(2, a=0.5))
    recording.close(2, "finished")
    assert [each.step for each in lines(tmp_path) if each.numbers] == [2]
    assert len(said) == 1
    assert "too long to be recorded" in said[0]


def test_a_model_of_ten_thousand_modules_is_recorded(tmp_path: Path) -> None:
    numbers = {f"encoder.layers.{number}.linear": number / 7 for number in range(10_000)}
    recording = recorder(tmp_path)
    recording.line(line(1, **numbers))
    recording.close(1, "finished")
    assert lines(tmp_path)[0].numbers["loss"] == numbers


def test_windows_take_bounded_room_and_the_first_and_last_stay(tmp_path: Path) -> None:
    recording = recorder(tmp_path, budget=20_000)
    for step in range(30):
        recording.window(step, Recording(Intent(frozen=("backbone.*" * 50,), classes=step)))
        recording.flush()
    recording.close(30, "finished")
    windows: list[Window] = list(recorded(tmp_path).windows([Intent]))
    kept = [each.step for each in windows]
    assert 3 < len(kept) < 15
    assert (kept[0], kept[-1]) == (0, 29)
    assert sum(each.stat().st_size for each in tmp_path.glob("window-*")) <= 5000


def test_lines_that_the_thread_does_not_come_to_are_left_out_and_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "HANDED", 10)
    monkeypatch.setattr(writer, "PERIOD_S", 60.0)
    recording = recorder(tmp_path)
    for step in range(20):
        recording.line(line(step, a=0.5))
    recording.line(line(20, Skipped(), a=0.5))
    recording.flush()
    recording.line(line(21, a=0.5))
    recording.close(22, "finished")
    kept = lines(tmp_path)
    assert sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in kept) == 22
    assert [each.step for each in kept if each.numbers] == [*range(6), 21]
    assert [each.step for each in kept if each.happened] == [20]


def test_a_process_that_gets_no_thread_goes_on_without_a_recording(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    said: list[str] = []
    monkeypatch.setattr(threading.Thread, "start", refused)
    recording = recorder(tmp_path, said.append)
    recording.line(line(1, a=0.5))
    recording.close(1, "finished")
    assert said == [f"{tmp_path} is not recorded: can't start new thread"]


def test_a_recorder_that_was_closed_is_forgotten(tmp_path: Path) -> None:
    recording: Recorder = recorder(tmp_path)
    recording.close(0, "finished")
    forgotten = weakref.ref(recording)
    del recording
    gc.collect()
    assert forgotten() is None
