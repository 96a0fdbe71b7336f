"""Whatever becomes of the disk, the run goes on, and is told once."""

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stepscope.core import Finding, Recording, Severity
from stepscope.evidence.intent import Intent
from stepscope.recordings import segments, writing
from stepscope.recordings.reader import RankRecorded
from tests.recordings.making import ROOT, Skipped, line, recorder

FINDING = Finding(subject="a", message="b", measured="c", expected="d")


class Disk:
    """Stands in for `os.write`, on a disk that is full from time to time."""

    def __init__(self) -> None:
        self.error = 0
        self._write: Callable[[int, bytearray], int] = os.write

    def write(self, file: int, data: bytearray) -> int:
        if self.error:
            raise OSError(self.error, os.strerror(self.error))
        return self._write(file, data)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk()
    monkeypatch.setattr(segments.os, "write", disk.write)
    return disk


def kept(folder: Path) -> list[int]:
    return [each.step for each in RankRecorded(0, folder).lines(()) if each.numbers]


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_a_disk_that_takes_nothing_is_said_once_and_written_when_it_does_again(
    tmp_path: Path, disk: Disk, trouble: int
) -> None:
    said: list[str] = []
    recording = recorder(tmp_path, said.append)
    recording.line(line(1, a=0.5))
    assert recording.flush()
    disk.error = trouble
    for step in range(2, 6):
        recording.line(line(step, a=0.5))
        assert not recording.flush()
    disk.error = 0
    recording.close(5, "finished")
    assert kept(tmp_path) == [1, 2, 3, 4, 5]
    assert len(said) == 1
    assert os.strerror(trouble) in said[0]
    assert "the run goes on" in said[0]


def test_what_waits_for_a_full_disk_is_bounded_and_findings_are_never_left_out(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "HELD", 1000)
    recording = recorder(tmp_path)
    disk.error = errno.ENOSPC
    for step in range(100):
        recording.line(line(step, Skipped(), a=0.5))
    recording.finding(100, "FRZ001", Severity.ERROR, FINDING)
    recording.window(100, Recording(Intent(classes=3)))
    assert not recording.flush()
    assert len(recording._writing._waiting) < 2000
    disk.error = 0
    recording.flush()
    recording.line(line(101, a=0.5))
    recording.close(101, "finished")
    read = RankRecorded(0, tmp_path)
    lines = list(read.lines([Skipped]))
    assert len(lines) < 30
    assert sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in lines) == 101
    assert sum(len(each.happened) + each.left_out.get("Skipped", 0) for each in lines) == 100
    assert [each.code for each in read.findings()] == ["FRZ001"]
    assert len(list(read.windows([Intent]))) == 1
    assert lines[-1].step == 101


def test_what_was_left_out_before_the_end_is_counted_too(
    tmp_path: Path, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "HELD", 10)
    recording = recorder(tmp_path)
    disk.error = errno.ENOSPC
    for step in range(5):
        recording.line(line(step, a=0.5))
    recording.flush()
    disk.error = 0
    recording.close(5, "finished")
    assert [(each.step, each.left_out) for each in RankRecorded(0, tmp_path).lines(())] == [
        (0, {}),
        (5, {"numbers": 4}),
    ]


def test_a_disk_that_takes_nothing_is_left_alone_for_a_while(tmp_path: Path, disk: Disk) -> None:
    recording = recorder(tmp_path)
    disk.error = errno.ENOSPC
    recording.line(line(1, a=0.5))
    recording.flush()
    disk.error = 0
    assert not recording._writing.push()
    assert recording._writing.push(at_once=True)
    recording.close(1, "finished")


def test_a_file_in_the_place_of_the_folder_is_said(tmp_path: Path) -> None:
    said: list[str] = []
    (tmp_path / "rank-0").write_text("a file")
    recording = recorder(tmp_path / "rank-0", said.append)
    for step in range(3):
        recording.line(line(step, a=0.5))
        recording.flush()
    recording.window(3, Recording(Intent(classes=3)))
    recording.close(3, "finished")
    assert len(said) == 1
    assert f"{tmp_path / 'rank-0'} cannot be written" in said[0]
    assert (tmp_path / "rank-0").read_text() == "a file"


def test_a_folder_that_was_deleted_is_not_made_again(tmp_path: Path) -> None:
    said: list[str] = []
    recording = recorder(tmp_path / "rank-0", said.append)
    recording.line(line(1, a=0.5))
    recording.flush()
    shutil.rmtree(tmp_path / "rank-0")
    for step in range(2, 6):
        recording.line(line(step, a=0.5))
        recording.window(step, Recording(Intent(classes=3)))
        recording.flush()
    recording.close(6, "finished")
    assert not (tmp_path / "rank-0").exists()
    assert len(said) == 1
    assert "was deleted; the run goes on, and is not recorded any more" in said[0]


def test_a_window_that_is_too_large_is_said_and_costs_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []
    recording = recorder(tmp_path, said.append, budget=4000)
    recording.window(1, Recording(Intent(frozen=("backbone",) * 500)))
    recording.window(2, Recording(Intent(classes=3)))
    recording.close(2, "finished")
    assert [each.step for each in RankRecorded(0, tmp_path).windows([Intent])] == [2]
    assert said == ["the window at step 1 is too large to be recorded"]


def test_a_limit_on_the_size_of_files_does_not_end_the_program(tmp_path: Path) -> None:
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from tests.recordings.making import line, recorder\n"
        "recording = recorder(Path(sys.argv[1]))\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))\n"
        "for step in range(100): recording.line(line(step, a=0.5))\n"
        "recording.close(100, 'finished')\n"
        "print('went on')\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, tmp_path],
        check=True,
        timeout=60,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    said, went_on = ran.stdout.splitlines()
    assert "File too large" in said
    assert went_on == "went on"
    steps = kept(tmp_path)
    assert steps == list(range(len(steps)))
    assert 10 < len(steps) < 20
    read = RankRecorded(0, tmp_path)
    assert read.ended is None
    assert read.damage == (
        f"{tmp_path}: 1 of its files end in the middle of an entry, as after a kill",
    )
