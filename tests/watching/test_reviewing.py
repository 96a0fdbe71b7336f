"""A run is judged from its files as it was while it went, or as far as it had come."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from stepscope.configurations.settings import Settings
from stepscope.core import Rule
from stepscope.core.report import Outcome, Status
from stepscope.core.selection import Selection
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending
from stepscope.recordings.folder import RunFolder, begin
from stepscope.recordings.reader import read
from stepscope.recordings.writer import Recorder
from stepscope.summing_up import Terms
from stepscope.watching.reviewing import review
from stepscope.watching.watched import Plan, Watched
from tests.watching.conftest import Loop, always_wrong, too_long

RULES = (always_wrong, too_long)


def recorded(
    home: Path, *, steps: int = 30, ends: bool = True, ranks: Sequence[int] = (0,), world: int = 1
) -> tuple[RunFolder, tuple[Outcome, ...]]:
    """Watch a loop once for each rank; return where it is kept, and what was said of the last."""
    folder = begin(home, "train.py", ranks=world)
    watched = Watched("train.py", rules=RULES)
    for rank in ranks:
        recorder = Recorder(folder.rank(rank), clock=time.monotonic, said=lambda _: None)
        watched = Watched(
            "train.py",
            rules=RULES,
            plan=Plan(at=(12,), every=1),
            keeper=recorder,
            rank=rank,
            world_size=world,
        )
        with watched:
            Loop().step(steps)
        if ends:
            recorder.close(watched.step, Ending.FINISHED.value)
        else:
            recorder.flush()
    return folder, watched.outcomes()


def reviewed(
    folder: RunFolder,
    rules: tuple[Rule, ...] = RULES,
    options: Mapping[str, dict[str, object]] | None = None,
) -> Report:
    terms = Terms(
        selection=Selection(rules, {}), settings=Settings(options=dict(options or {})), root=""
    )
    return review(read(folder.path), terms)


def test_it_says_what_the_run_said(tmp_path: Path) -> None:
    folder, live = recorded(tmp_path)
    report = reviewed(folder)
    assert [(each.rule.code, each.status) for each in report.outcomes] == [
        (each.rule.code, each.status) for each in live
    ]
    for told, was in zip(report.outcomes, live, strict=True):
        assert [each.measured for each in told.findings] == [each.measured for each in was.findings]
    assert (report.run.steps, report.run.program) == (30, "train.py")
    assert report.run.error == ""


def test_other_rules_and_options_may_be_asked_afterwards(tmp_path: Path) -> None:
    folder, _ = recorded(tmp_path)
    (outcome,) = reviewed(folder, (too_long,), {"TST002": {"most": 31}}).outcomes
    assert outcome.rule is too_long
    # It was found while the run went, under the options of then.
    assert outcome.status is Status.FAILED
    (outcome,) = reviewed(recorded(tmp_path, steps=9)[0], (too_long,)).outcomes
    assert outcome.status is Status.PASSED


def test_of_a_run_that_goes_on_it_is_said_how_far_it_has_come(tmp_path: Path) -> None:
    folder, _ = recorded(tmp_path, ends=False)
    report = reviewed(folder)
    assert report.run.steps >= 28  # the last line may be of a step before
    assert "rank 0 goes on, or was killed: it has no end" in report.run.notes


def test_ranks_are_joined_and_those_that_left_nothing_are_named(tmp_path: Path) -> None:
    folder, _ = recorded(tmp_path, ranks=(0, 2), world=3)
    report = reviewed(folder)
    assert report.run.ranks == (0, 2)
    assert "nothing was left by ranks 1" in report.run.notes
    (error,) = [each for each in report.outcomes if each.rule is always_wrong]
    assert error.status is Status.FAILED


def test_a_run_without_a_step_cannot_be_judged(tmp_path: Path) -> None:
    folder, _ = recorded(tmp_path, steps=0)
    with pytest.raises(ValueError, match="holds no optimizer step of any process"):
        reviewed(folder)
