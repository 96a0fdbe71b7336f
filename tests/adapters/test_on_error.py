"""What a finding of weight error does to a loop is up to its author."""

from pathlib import Path
from typing import Any

import pytest

import stepscope
from stepscope.core import Severity
from stepscope.core.verdict import Verdict
from stepscope.watching.verdicts import News
from tests.adapters.looping import Network, optimizer_of, steps


def test_on_error_stop_leaves_the_loop_between_two_steps_and_goes_on_after_it(
    tmp_path: Path,
) -> None:
    model = Network()
    optimizer = optimizer_of(model, rate=0.0)
    taken = []
    with stepscope.watch(model, optimizer, folder=tmp_path, on_error="stop") as run:
        taken += list(steps(model, optimizer, 8))
    assert run.stopped
    assert run.report is not None
    assert run.report.verdict is Verdict.FINDINGS
    assert "the run was stopped by a finding" in run.report.run.notes
    assert run.report.run.steps == 4
    model = Network()
    optimizer = optimizer_of(model)
    with stepscope.watch(model, optimizer, folder=tmp_path, on_error="stop") as run:
        taken += list(steps(model, optimizer, 8))
    assert not run.stopped
    assert len(taken) == 8


@pytest.mark.parametrize("stops", [True, False, None])
def test_a_function_hears_of_errors_and_may_stop_the_run(tmp_path: Path, stops: Any) -> None:
    heard: list[News] = []

    def on_error(news: News) -> bool | None:
        heard.append(news)
        return stops

    model = Network()
    optimizer = optimizer_of(model, rate=0.0)
    with stepscope.watch(model, optimizer, folder=tmp_path, on_error=on_error) as run:
        list(steps(model, optimizer, 8))
    assert run.stopped is bool(stops)
    assert {(each.rule.code, each.severity) for each in heard} == {("FRZ001", Severity.ERROR)}


def test_a_function_that_raises_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def on_error(news: News) -> None:
        raise RuntimeError(f"no connection for {news.rule.code}")

    model = Network()
    optimizer = optimizer_of(model, rate=0.0)
    with stepscope.watch(model, optimizer, folder=tmp_path, on_error=on_error) as run:
        assert len(list(steps(model, optimizer, 8))) == 8
    said = capfd.readouterr().err
    assert "on_error raised RuntimeError: no connection for FRZ001; the run goes on" in said
    assert run.report is not None
    assert not run.report.run.faults


def test_an_ignored_error_is_not_said_and_stops_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = Network()
    optimizer = optimizer_of(model, rate=0.0)
    ignore = {"FRZ001": "the sweep has this case"}
    watched = stepscope.watch(model, optimizer, folder=tmp_path, on_error="stop", ignore=ignore)
    with watched as run:
        assert len(list(steps(model, optimizer, 8))) == 8
    assert "FRZ001" not in capfd.readouterr().err
    assert run.report is not None
    assert run.report.verdict is Verdict.CLEAN
    assert [each.ignored for each in run.report.ignored] == ["the sweep has this case"]
