"""Before a program has shown that it trains, nothing is written of it, and nothing is lost."""

from pathlib import Path

import pytest

from stepscope.adapters.how import settle
from stepscope.adapters.late import Late
from stepscope.adapters.watched_run import WatchedRun
from stepscope.core import Finding, Recording, Severity
from stepscope.evidence.course.line import Line
from stepscope.evidence.environment import Ending
from tests.watching.conftest import Kept, Loop

FINDING = Finding(subject="it", message="hurts", measured="1", expected="0")


def line(step: int) -> Line:
    return Line(step=step, seconds=0.0)


def test_all_comes_in_its_order_once_it_is_known_where_to() -> None:
    late, kept = Late(), Kept()
    late.line(line(1))
    late.window(1, Recording())
    assert kept == Kept()
    late.open(kept)
    late.finding(2, "TST001", Severity.ERROR, FINDING)
    late.line(line(2))
    assert kept.lines == [line(1), line(2)]
    assert [step for step, _ in kept.windows] == [1]
    assert kept.findings == [(2, "TST001")]


def test_where_nothing_can_be_written_nothing_is_held() -> None:
    late = Late()
    late.line(line(1))
    late.open(None)
    late.line(line(2))
    late.window(2, Recording())
    assert late._waiting == []


@pytest.mark.parametrize("steps", [0, 2])
def test_a_late_run_has_a_folder_and_a_report_only_if_it_trains(tmp_path: Path, steps: int) -> None:
    settled = settle(folder=tmp_path)
    run = WatchedRun("t.py", terms=settled.terms, home=tmp_path, plan=settled.plan, is_late=True)
    with run.watched:
        loop = Loop()
        loop.model(loop.model[0].weight)
        assert not (tmp_path / ".stepscope").exists()
        loop.step(steps)
    report = run.conclude(Ending.FINISHED)
    run.reported()
    assert (report is not None) is bool(steps)
    assert len(list(tmp_path.glob(".stepscope/*/rank-0/window-*.json"))) == bool(steps)
