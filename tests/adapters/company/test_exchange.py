"""Who stops when, and who reports."""

import threading
from pathlib import Path

import pytest

from stepscope.adapters.company import exchange
from stepscope.adapters.company.exchange import AHEAD, Exchange
from stepscope.recordings.folder import RunFolder


@pytest.fixture
def ranks(tmp_path: Path) -> tuple[Exchange, Exchange]:
    """Return the exchange as two processes see it."""
    return Exchange(RunFolder(tmp_path)), Exchange(RunFolder(tmp_path))


def test_all_ranks_stop_after_the_same_step(ranks: tuple[Exchange, Exchange]) -> None:
    here, there = ranks
    assert not here.is_to_stop(5)
    there.wish_to_stop(6)
    here.wish_to_stop(7)  # the same finding, a step later
    for each in ranks:
        assert [each.is_to_stop(step) for step in (6, 7, 8, 9)] == [False, False, True, True]
    assert AHEAD == 2


def test_who_takes_no_steps_asks_the_first_rank_to_say_when(
    ranks: tuple[Exchange, Exchange],
) -> None:
    starter, first = ranks
    starter.path.mkdir()
    assert not first.is_asked_to_stop()
    starter.ask_to_stop()
    assert first.is_asked_to_stop()
    assert not first.is_to_stop(9)
    first.wish_to_stop(9)
    assert [first.is_to_stop(step) for step in (10, 11)] == [False, True]
    assert not first.is_asked_to_stop()  # it has done so


def test_no_rank_can_have_passed_the_step_that_is_agreed_on() -> None:
    """A rank at step s has at most finished s + 1, where each backward waits for all."""
    furthest = 1
    assert furthest < AHEAD


def test_one_of_them_reports(ranks: tuple[Exchange, Exchange]) -> None:
    here, there = ranks
    assert here.claim_report()
    assert not there.claim_report()
    here.clear()
    assert not there.claim_report()
    assert not here.path.exists()


def test_a_failing_rank_reports_where_the_first_does_not_come_to_it(
    ranks: tuple[Exchange, Exchange], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "GRACE_S", 0.05)
    first, failing = ranks
    assert failing.is_left_to_report()
    assert not first.claim_report()


def test_a_failing_rank_waits_for_the_report_of_the_first(
    ranks: tuple[Exchange, Exchange],
) -> None:
    first, failing = ranks
    assert first.claim_report()
    timer = threading.Timer(0.1, first.clear)
    timer.start()
    assert not failing.is_left_to_report()
    timer.join()
    assert (first.path.parent / "reported").exists()
