"""A rank has one place in a run, for as long as its process lives."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from stepscope.adapters.company.arrivals import HERE, Arrivals
from stepscope.adapters.company.exchange import Exchange
from stepscope.recordings.folder import RunFolder


@pytest.fixture
def exchange(tmp_path: Path) -> Exchange:
    exchange = Exchange(RunFolder(tmp_path))
    exchange.path.mkdir()
    return exchange


@pytest.fixture
def other() -> Iterator[int]:
    """Another process that lives."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid


def put(exchange: Exchange, rank: int, number: int, began: float) -> None:
    (exchange.path / f"{HERE}{rank}").write_text(f"{number} {began}")


def test_a_free_place_is_taken_and_told_to_others_only(exchange: Exchange, other: int) -> None:
    arrivals = Arrivals(exchange)
    assert arrivals.others() == []
    assert arrivals.take(1)
    put(exchange, 3, other, psutil.Process(other).create_time())
    assert arrivals.others() == [3]
    assert not arrivals.is_gone(1)
    assert not arrivals.is_gone(3)
    assert {each.name for each in exchange.path.iterdir()} == {f"{HERE}1", f"{HERE}3"}


def test_a_place_is_kept_while_its_process_lives(exchange: Exchange, other: int) -> None:
    put(exchange, 0, other, psutil.Process(other).create_time())
    assert not Arrivals(exchange).take(0)
    assert Arrivals(exchange).others() == [0]


def test_a_rank_that_was_started_again_has_the_place_of_the_one_before(
    exchange: Exchange, other: int
) -> None:
    put(exchange, 0, other, psutil.Process(other).create_time() - 100)  # its number was used again
    assert Arrivals(exchange).is_gone(0)
    assert Arrivals(exchange).take(0)
    assert Arrivals(exchange).others() == []


def test_a_process_that_ended_and_was_not_asked_for_its_code_is_gone(exchange: Exchange) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        put(exchange, 0, process.pid, psutil.Process(process.pid).create_time())
        assert not Arrivals(exchange).is_gone(0)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it stays, as a zombie
        assert Arrivals(exchange).is_gone(0)


def test_of_a_run_that_is_over_nobody_has_come_and_none_can_join(tmp_path: Path) -> None:
    arrivals = Arrivals(Exchange(RunFolder(tmp_path)))
    assert arrivals.others() == []
    assert arrivals.is_gone(0)
    with pytest.raises(FileNotFoundError):
        arrivals.take(0)
