"""Every rule asked has one outcome, whatever happens in it."""

from collections.abc import Callable, Iterator

import pytest

from stepscope.core import (
    Finding,
    Findings,
    NotJudged,
    Outcome,
    Recording,
    Rule,
    Severity,
    Status,
    judge,
    rule,
)
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.intent import Intent
from stepscope.evidence.optimizers import Optimizers

FINDING = Finding(subject="head", message="is wrong", measured="1", expected="0")
NO_GRADIENTS = Gradients(gradients=())


def asked(judged: Callable[..., Findings], *evidence: object) -> Outcome:
    recording = Recording(*evidence)  # type: ignore[arg-type]
    (outcome,) = judge([rule("TST001", Severity.WARNING)(judged)], recording)
    return outcome


def test_no_finding_is_passed() -> None:
    def quiet(_: Gradients) -> Findings:
        return ()

    assert asked(quiet, NO_GRADIENTS).status is Status.PASSED


def test_a_finding_weighs_what_its_rule_says_unless_it_says_itself() -> None:
    def loud(_: Gradients) -> Findings:
        yield FINDING
        yield Finding(subject="head", message="", measured="", expected="", severity=Severity.NOTE)

    outcome = asked(loud, NO_GRADIENTS)
    assert outcome.status is Status.FAILED
    assert [outcome.severity(each) for each in outcome.findings] == [
        Severity.WARNING,
        Severity.NOTE,
    ]


def test_missing_evidence_is_skipped_with_all_that_is_missing() -> None:
    def needy(_: Gradients, __: Optimizers, ___: Intent | None) -> Findings:
        return ()

    outcome = asked(needy)
    assert outcome.status is Status.SKIPPED
    assert outcome.reason == "needs a backward call and an optimizer step"


def test_a_rule_that_cannot_tell_is_skipped_with_its_reason() -> None:
    def unsure(_: Gradients) -> Findings:
        raise NotJudged("too few steps")

    outcome = asked(unsure, NO_GRADIENTS)
    assert (outcome.status, outcome.reason) == (Status.SKIPPED, "too few steps")


def test_a_broken_rule_is_recorded_and_the_others_are_asked_all_the_same() -> None:
    def broken(_: Gradients) -> Iterator[Finding]:
        yield FINDING
        raise KeyError("lr")

    def loud(_: Gradients) -> Findings:
        yield FINDING

    rules = [rule("TST001", Severity.ERROR)(broken), rule("TST002", Severity.ERROR)(loud)]
    first, second = judge(rules, Recording(NO_GRADIENTS))
    assert first.status is Status.CRASHED
    assert "KeyError: 'lr'" in first.reason
    assert second.status is Status.FAILED


@pytest.mark.parametrize(("least", "status"), [(0, Status.FAILED), (1, Status.PASSED)])
def test_options_of_the_user_replace_the_defaults(least: int, status: Status) -> None:
    def bounded(gradients: Gradients, *, least: int = 5) -> Findings:
        if len(gradients.gradients) >= least:
            yield FINDING

    made: Rule = rule("TST001", Severity.ERROR)(bounded)
    (outcome,) = judge([made], Recording(NO_GRADIENTS), {"TST001": {"least": least}})
    assert outcome.status is status
