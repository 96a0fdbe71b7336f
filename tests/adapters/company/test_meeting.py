"""Ranks learn the folder of their run from the first, and from nobody else."""

import threading
import time
from pathlib import Path

import pytest

from stepscope.adapters.company.beginning import begun
from stepscope.adapters.company.meeting import Meeting
from stepscope.adapters.ranks import Ranks


def meeting(home: Path, rank: int, world_size: int = 3) -> Meeting:
    return Meeting(home, Ranks(rank, world_size, home))


def asked(home: Path, rank: int, heard: dict[int, str | None]) -> threading.Thread:
    thread = threading.Thread(
        target=lambda: heard.update({rank: meeting(home, rank).ask(patience_s=10)})
    )
    thread.start()
    return thread


def test_all_ranks_hear_the_name_and_nothing_is_left(tmp_path: Path) -> None:
    heard: dict[int, str | None] = {}
    threads = [asked(tmp_path, rank, heard) for rank in (1, 2)]
    first = meeting(tmp_path, 0)
    while not first.answer("the run"):
        time.sleep(0.01)
    for thread in threads:
        thread.join()
    assert heard == {1: "the run", 2: "the run"}
    assert first.present() == [1, 2]
    assert list((tmp_path / ".stepscope").iterdir()) == []


def test_what_an_earlier_run_left_answers_nobody(tmp_path: Path) -> None:
    assert meeting(tmp_path, 1).ask(patience_s=0.05) is None
    earlier = meeting(tmp_path, 0)
    assert not earlier.answer("an earlier run")  # and it is killed
    assert meeting(tmp_path, 1).ask(patience_s=0.05) is None


def test_another_run_has_another_meeting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MASTER_PORT", "1")
    first = meeting(tmp_path, 0)
    monkeypatch.setenv("MASTER_PORT", "2")
    heard: dict[int, str | None] = {}
    thread = threading.Thread(
        target=lambda: heard.update({1: meeting(tmp_path, 1).ask(patience_s=0.1)})
    )
    thread.start()
    while thread.is_alive():
        first.answer("another run")
        time.sleep(0.01)
    assert heard == {1: None}


def test_a_rank_without_a_first_is_on_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("stepscope.adapters.company.meeting.Meeting.ask", lambda _: None)
    alone = begun(tmp_path, "train.py", (), Ranks(1, 2, tmp_path))
    assert (alone.reports, alone.has_others) == (True, False)
    assert alone.folder is not None
    assert "rank 1 found no first rank" in capfd.readouterr().err


def test_a_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "home").write_text("a file")
    for rank in range(2):
        lost = begun(tmp_path / "home", "train.py", (), Ranks(rank, 2, tmp_path))
        assert lost.folder is None
        assert lost.reports == (rank == 0)
    assert capfd.readouterr().err.count("no recording is kept") == 1
