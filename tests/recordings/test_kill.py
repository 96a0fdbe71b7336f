"""A process that is killed at any moment loses the last second of its recording at most."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stepscope.recordings.reader import RankRecorded
from tests.recordings.making import ROOT

SLACK_S = 0.5  # that a busy machine may add
# It writes so much, into so little room, that its files are joined all the time.
PROGRAM = """
import os, sys, time
from pathlib import Path
from stepscope.evidence.course.line import Line
from tests.recordings.making import recorder
recording = recorder(Path(sys.argv[1]), budget=200_000)
handed = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
print("began", flush=True)
for step in range(10**9):
    numbers = {f"layer{number}": step / 7 for number in range(10)}
    seconds = time.monotonic()
    recording.line(Line(step=step, seconds=seconds, numbers={"norm": numbers}))
    os.pwrite(handed, b"%20.6f" % seconds, 0)
    time.sleep(0.0005)
"""


def lost_s(folder: Path, after: float) -> float:
    """Kill the program, and return how much later than what it wrote its last line was."""
    handed = folder.with_name("handed")
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, folder, handed], stdout=subprocess.PIPE, cwd=ROOT
    ) as program:
        assert program.stdout is not None
        program.stdout.readline()
        time.sleep(after)
        program.send_signal(signal.SIGKILL)
    read = RankRecorded(0, folder)
    lines = list(read.lines(())) if folder.exists() else []
    if not lines:
        return after
    steps = [each.step for each in lines]
    assert steps == sorted(set(steps))
    written = sum(bool(each.numbers) + each.left_out.get("numbers", 0) for each in lines)
    assert written == steps[-1] + 1
    assert all("end in the middle" in each for each in read.damage)
    assert read.ended is None
    return float(handed.read_text()) - lines[-1].seconds


def test_a_killed_process_loses_a_second_at_most(tmp_path: Path) -> None:
    assert lost_s(tmp_path / "rank-0", 0.9) < 1.0 + SLACK_S


@pytest.mark.corpus
@pytest.mark.parametrize("after", [0.05, 0.4, 0.6, 1.3, 1.7, 2.6])
def test_a_process_that_is_killed_at_any_moment_loses_a_second_at_most(
    tmp_path: Path, after: float
) -> None:
    assert lost_s(tmp_path / "rank-0", after) < 1.0 + SLACK_S
