"""What the thread beside the program decides."""

import time
from typing import Never

import pytest

from stepscope.adapters import waiting
from stepscope.adapters.leaving import RecordingEnded, RecordingTimedOut
from stepscope.adapters.waiting import Waiting


def never() -> Never:
    raise AssertionError("the program could be left")


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "GRACE_S", 0.2)
    monkeypatch.setattr(waiting, "TICK_S", 0.05)


def working(thread: Waiting, seconds: float = 5.0) -> None:
    thread.begin()
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            time.sleep(0.01)
    finally:
        thread.end()


def test_a_program_whose_time_is_up_is_ended_and_its_line_known() -> None:
    thread = Waiting(0.1, lambda: 0, lambda: False, never)
    with pytest.raises(RecordingTimedOut):
        working(thread)
    assert thread.at is not None
    assert thread.at.file == __file__


def test_a_program_whose_processes_are_all_recorded_is_not_waited_for() -> None:
    thread = Waiting(None, lambda: 0, lambda: True, never)
    with pytest.raises(RecordingEnded):
        working(thread)
    assert thread.at is None


def test_a_program_that_works_is_left_alone() -> None:
    working(Waiting(None, lambda: 0, lambda: False, never), seconds=0.6)


def test_the_gathering_of_evidence_is_not_interrupted() -> None:
    thread = Waiting(0.1, lambda: 0, lambda: True, never)
    thread.pause()
    working(thread, seconds=0.6)
    assert thread.at is None


def test_the_time_that_is_up_meanwhile_counts_afterwards() -> None:
    thread = Waiting(0.1, lambda: 0, lambda: False, never)
    thread.pause()
    thread.begin()
    time.sleep(0.3)
    thread.resume()
    with pytest.raises(RecordingTimedOut):
        busy()
    thread.end()


def busy() -> None:
    end = time.monotonic() + 5
    while time.monotonic() < end:
        time.sleep(0.01)
