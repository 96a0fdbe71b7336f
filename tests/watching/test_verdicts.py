"""A finding is news once, and its rule has failed for good; the report has its latest numbers."""

from collections.abc import Iterator

import pytest

from stepscope.core import Finding, Findings, NotJudged, Place, Recording, Severity, rule
from stepscope.core.report import Status
from stepscope.evidence.checkpoints import Checkpoints
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.environment import Beginning
from stepscope.evidence.optimizers import Optimizers
from stepscope.watching.verdicts import Verdicts, is_of_windows, is_over_time, key_of
from tests.watching.conftest import always_wrong, broken, too_long


def so_far(step: int) -> Recording:
    return Recording(Progress(first=0, step=step, sampled=step, seconds=1.0))


@rule("TST004", Severity.WARNING)
def heals(progress: Progress) -> Findings:
    if progress.step == 2:
        yield Finding(subject="it", message="hurts", measured="2", expected="not 2")


@rule("TST005", Severity.NOTE)
def at_each_of_its_lines(progress: Progress) -> Iterator[Finding]:
    for line in range(progress.step):
        where = Place(file="train.py", line=line + 1)
        yield Finding(subject="a", message="b", measured=f"{progress.step}", expected="", at=where)


@rule("TST006", Severity.ERROR)
def of_a_beginning(progress: Progress, _: Beginning) -> Findings:
    if progress.step == 3:
        raise NotJudged("three is no number")
    return ()


@rule("TST007", Severity.ERROR)
def of_either(_: Optimizers, progress: Progress | None) -> Findings:
    del progress
    return ()


def test_a_finding_is_news_once_and_keeps_its_latest_numbers() -> None:
    verdicts = Verdicts([too_long])
    told = [verdicts.judge([too_long], so_far(step), step) for step in (10, 20, 30)]
    assert [[(news.rule.code, news.step) for news in each] for each in told] == [
        [],
        [("TST002", 20)],
        [],
    ]
    (outcome,) = verdicts.outcomes()
    assert outcome.status is Status.FAILED
    assert [finding.measured for finding in outcome.findings] == ["30 steps"]


def test_what_was_found_once_stays_found() -> None:
    verdicts = Verdicts([heals])
    for step in (1, 2, 3):
        verdicts.judge([heals], so_far(step), step)
    (outcome,) = verdicts.outcomes()
    assert outcome.status is Status.FAILED
    assert len(outcome.findings) == 1


def test_findings_at_different_lines_are_different() -> None:
    verdicts = Verdicts([at_each_of_its_lines])
    news = [len(verdicts.judge([at_each_of_its_lines], so_far(n), n)) for n in (1, 3, 3)]
    assert news == [1, 2, 0]
    (outcome,) = verdicts.outcomes()
    assert [finding.at.line for finding in outcome.findings] == [1, 2, 3]
    assert {finding.measured for finding in outcome.findings} == {"3"}


def test_a_rule_that_was_never_asked_is_skipped() -> None:
    (outcome,) = Verdicts([too_long]).outcomes()
    assert (outcome.status, outcome.reason) == (
        Status.SKIPPED,
        "nothing of the run was recorded",
    )


def test_a_rule_that_could_judge_once_has_passed() -> None:
    verdicts = Verdicts([of_a_beginning])
    beginning = so_far(1)
    beginning.add(Beginning())
    verdicts.judge([of_a_beginning], beginning, 1)
    verdicts.judge([of_a_beginning], so_far(9), 9)  # the beginning is past
    (outcome,) = verdicts.outcomes()
    assert outcome.status is Status.PASSED


def test_why_it_could_not_judge_is_said_rather_than_that_the_beginning_is_past() -> None:
    verdicts = Verdicts([of_a_beginning])
    beginning = so_far(3)
    beginning.add(Beginning())
    verdicts.judge([of_a_beginning], beginning, 3)
    verdicts.judge([of_a_beginning], so_far(9), 9)
    (outcome,) = verdicts.outcomes()
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "three is no number")


def test_why_no_checkpoint_could_be_judged_is_not_that_the_start_is_past() -> None:
    @rule("TST009", Severity.ERROR)
    def of_loads(progress: Progress, checkpoints: Checkpoints) -> Findings:
        if not checkpoints.loads:
            raise NotJudged("nothing was loaded")
        return ()

    verdicts = Verdicts([of_loads])
    start = so_far(3)
    start.add(Checkpoints(tried=(), loads=()))
    verdicts.judge([of_loads], start, 3)
    verdicts.judge([of_loads], so_far(9), 9)
    (outcome,) = verdicts.outcomes()
    assert outcome.reason == "nothing was loaded"


def test_a_crash_outweighs_a_pass_and_is_outweighed_by_a_finding() -> None:
    @rule("TST008", Severity.ERROR)
    def unsteady(progress: Progress) -> Findings:
        if progress.step == 2:
            raise ZeroDivisionError("of ours")
        if progress.step == 4:
            yield Finding(subject="it", message="fails", measured="4", expected="less")

    verdicts = Verdicts([unsteady])
    statuses = []
    for step in range(1, 6):
        verdicts.judge([unsteady], so_far(step), step)
        statuses.append(verdicts.outcomes()[0].status)
    assert statuses == [
        Status.PASSED,
        Status.CRASHED,
        Status.CRASHED,
        Status.FAILED,
        Status.FAILED,
    ]


def test_one_rule_that_crashes_keeps_no_other_from_judging() -> None:
    verdicts = Verdicts([broken, too_long])
    (news,) = verdicts.judge([broken, too_long], so_far(20), 20)
    assert (news.rule.code, news.severity) == ("TST002", Severity.ERROR)


def test_options_reach_the_rule_by_its_code() -> None:
    verdicts = Verdicts([too_long], {"TST002": {"most": 100}})
    assert verdicts.judge([too_long], so_far(20), 20) == []


def test_what_was_found_while_the_run_went_is_recalled_and_not_told_again() -> None:
    verdicts = Verdicts([heals])
    (known,) = Verdicts([heals]).judge([heals], so_far(2), 2)
    verdicts.recall(heals, known.finding)
    assert verdicts.judge([heals], so_far(2), 2) == []
    (outcome,) = verdicts.outcomes()
    assert outcome.findings == (known.finding,)


@pytest.mark.parametrize(("field", "same"), [("measured", True), ("subject", False)])
def test_numbers_do_not_make_a_finding_another_one(field: str, *, same: bool) -> None:
    words = {"subject": "a", "message": "b", "measured": "1", "expected": "0"}
    first, second = Finding(**words), Finding(**(words | {field: "other"}))
    assert (key_of(heals, first) == key_of(heals, second)) is same


def test_rules_are_asked_where_what_they_need_can_be_known() -> None:
    rules = (always_wrong, too_long, of_either)
    assert [is_of_windows(each) for each in rules] == [True, False, True]
    assert [is_over_time(each) for each in rules] == [False, True, True]
