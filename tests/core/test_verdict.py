"""What several processes say is joined, and amounts to one verdict and one exit code."""

import dataclasses

import msgspec
import pytest

from stepscope.core import Finding, Findings, Outcome, Place, Rule, Severity, Status, rule
from stepscope.core.joining import join, say_ranks
from stepscope.core.verdict import Report, RunFacts, Verdict
from stepscope.evidence.gradients import Gradients


def made(code: str, severity: Severity) -> Rule:
    def judge(_: Gradients) -> Findings:
        return ()

    return rule(code, severity)(judge)


ERROR, WARNING = made("TST001", Severity.ERROR), made("TST002", Severity.WARNING)
NOTE = made("TST003", Severity.NOTE)
FINDING = Finding(
    subject="head",
    message="gets no gradient",
    measured="norm 0",
    expected="more",
    at=Place(parameter="head.weight"),
)
COMPLETE = RunFacts(program="train.py", root="/project", steps=3, asked=3)


def failed(rule: Rule, *findings: Finding) -> Outcome:
    return Outcome(rule, Status.FAILED, findings or (FINDING,))


def passed(rule: Rule) -> Outcome:
    return Outcome(rule, Status.PASSED)


def skipped(rule: Rule, reason: str = "needs a miracle") -> Outcome:
    return Outcome(rule, Status.SKIPPED, reason=reason)


def on_ranks(*outcomes: Outcome) -> Report:
    run = changed(COMPLETE, ranks=tuple(range(len(outcomes))))
    return join(run, {rank: (outcome,) for rank, outcome in enumerate(outcomes)})


def changed(run: RunFacts, **changes: object) -> RunFacts:
    return dataclasses.replace(run, **changes)  # type: ignore[arg-type]


def rename(finding: Finding, measured: str) -> Finding:
    return msgspec.structs.replace(finding, measured=measured)


@pytest.mark.parametrize(
    ("rule", "strict", "verdict", "code"),
    [
        (ERROR, False, Verdict.FINDINGS, 1),
        (WARNING, False, Verdict.CLEAN, 0),
        (WARNING, True, Verdict.FINDINGS, 1),
        (NOTE, True, Verdict.CLEAN, 0),
    ],
)
def test_errors_are_faults_and_warnings_only_when_strict(
    rule: Rule, *, strict: bool, verdict: Verdict, code: int
) -> None:
    report = join(COMPLETE, {0: (failed(rule),)}, strict=strict)
    assert (report.verdict, report.exit_code) == (verdict, code)
    assert len(report.findings) == 1


@pytest.mark.parametrize(
    ("changes", "obstacle"),
    [
        ({"steps": 0, "ending": "finished"}, "the program ended without an optimizer step"),
        ({"steps": 0, "ending": "raised"}, "the program raised before the first optimizer step"),
        ({"steps": 1, "ending": "raised"}, "the program raised after 1 of 3 optimizer steps"),
        (
            {"steps": 1, "ending": "raised", "error": "rank 1: KeyboardInterrupt"},
            "the program was interrupted after 1 of 3 optimizer steps",
        ),
        (
            {"steps": 0, "ending": "timed-out", "elsewhere": "a forked process"},
            "optimizer steps were taken only in a forked process, which is not observed",
        ),
        ({"steps": 2, "ending": "timed-out"}, "the time was up after 2 of 3 optimizer steps"),
        (
            {"steps": 1, "ending": "finished", "error": "SystemExit: 3"},
            "the program left with SystemExit: 3 after 1 of 3 optimizer steps",
        ),
    ],
)
def test_a_run_that_came_to_grief_is_never_clean(changes: dict[str, object], obstacle: str) -> None:
    report = join(changed(COMPLETE, **changes), {0: (passed(ERROR),)})
    assert (report.verdict, report.exit_code) == (Verdict.NOT_JUDGED, 2)
    assert report.obstacle == obstacle


def test_a_program_that_ends_by_itself_before_all_steps_is_judged_by_those_it_took() -> None:
    run = changed(COMPLETE, steps=1, ending="finished")
    assert join(run, {0: (passed(ERROR),)}).verdict is Verdict.CLEAN


def test_a_crash_after_a_step_does_not_hide_what_was_found() -> None:
    run = changed(COMPLETE, steps=1, ending="raised")
    report = join(run, {0: (failed(ERROR),)})
    assert (report.verdict, report.exit_code) == (Verdict.FINDINGS, 1)
    assert report.obstacle


def test_without_a_step_the_run_is_not_judged_whatever_was_found() -> None:
    run = changed(COMPLETE, steps=0, ending="raised")
    report = join(run, {0: (failed(ERROR),)})
    assert (report.exit_code, len(report.findings)) == (2, 1)


@pytest.mark.parametrize(
    "outcome", [skipped(ERROR), Outcome(ERROR, Status.CRASHED, reason="KeyError")]
)
def test_where_no_rule_could_judge_nothing_is_called_clean(outcome: Outcome) -> None:
    report = join(COMPLETE, {0: (outcome,)})
    assert (report.exit_code, report.obstacle) == (2, "no rule was able to judge")


def test_ignored_findings_are_listed_apart_with_their_reason_and_are_no_faults() -> None:
    report = join(
        COMPLETE, {0: (failed(ERROR), failed(WARNING))}, ignore={"TST001": "known since May"}
    )
    assert report.exit_code == 0
    assert [(each.rule, each.ignored) for each in report.ignored] == [(ERROR, "known since May")]
    assert [each.rule for each in report.findings] == [WARNING]


def test_findings_come_most_severe_first_whatever_their_codes() -> None:
    mild = msgspec.structs.replace(FINDING, severity=Severity.NOTE)
    report = join(COMPLETE, {0: (failed(NOTE), failed(WARNING), failed(ERROR, mild, FINDING))})
    assert [(each.severity.value, each.rule.code) for each in report.findings] == [
        ("error", "TST001"),
        ("warning", "TST002"),
        ("note", "TST001"),
        ("note", "TST003"),
    ]


def test_one_process_is_not_named() -> None:
    (reported,) = on_ranks(failed(ERROR)).findings
    assert (reported.ranks, reported.finding.at.rank) == ((), None)


def test_what_all_ranks_say_alike_is_said_once_with_all_of_them() -> None:
    (reported,) = on_ranks(failed(ERROR), failed(ERROR), failed(ERROR)).findings
    assert (reported.ranks, reported.finding.at.rank) == ((0, 1, 2), 0)
    assert reported.finding.measured == "norm 0"


def test_what_one_rank_alone_says_bears_its_number() -> None:
    (reported,) = on_ranks(passed(ERROR), failed(ERROR)).findings
    assert (reported.ranks, reported.finding.at.rank) == ((1,), 1)


def test_a_measurement_that_differs_between_ranks_is_said_to_differ() -> None:
    other = rename(FINDING, "norm 1")
    (reported,) = on_ranks(failed(ERROR), failed(ERROR, other), failed(ERROR)).findings
    assert reported.ranks == (0, 1, 2)
    assert reported.finding.measured == "norm 0 (rank 0; differs on rank 1)"


def test_findings_of_one_rank_about_the_same_place_stay_apart() -> None:
    twice = failed(ERROR, FINDING, rename(FINDING, "norm 1"))
    assert [each.finding.measured for each in on_ranks(twice, twice).findings] == [
        "norm 0",
        "norm 1",
    ]


@pytest.mark.parametrize(
    ("column", "status"),
    [
        ((skipped(ERROR), passed(ERROR)), Status.PASSED),
        ((skipped(ERROR), skipped(ERROR)), Status.SKIPPED),
        ((passed(ERROR), failed(ERROR)), Status.FAILED),
        ((Outcome(ERROR, Status.CRASHED), passed(ERROR)), Status.CRASHED),
    ],
)
def test_a_rule_is_skipped_only_where_no_rank_could_judge(
    column: tuple[Outcome, ...], status: Status
) -> None:
    (outcome,) = on_ranks(*column).outcomes
    assert outcome.status is status


def test_a_line_to_point_at_is_looked_for_only_where_the_finding_has_none() -> None:
    own = msgspec.structs.replace(FINDING, at=Place(file="train.py", line=3))
    near = Place(file="model.py", line=9)
    report = join(COMPLETE, {0: (failed(ERROR, FINDING, own),)}, locate=lambda _: near)
    assert [each.nearest for each in report.findings] == [near, None]


@pytest.mark.parametrize(
    ("ranks", "said"),
    [([2], "rank 2"), ([0, 1, 2, 3], "ranks 0-3"), ([3, 0, 2], "ranks 0, 2-3")],
)
def test_ranks_are_said_in_spans(ranks: list[int], said: str) -> None:
    assert say_ranks(ranks) == said
