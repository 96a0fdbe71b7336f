"""A rule is made from its signature, or refused with a sentence that helps."""

import pytest

from stepscope.core import Findings, Moment, Severity, rule
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.intent import Intent
from stepscope.evidence.optimizers import Optimizers


def test_positional_parameters_are_needs_and_keyword_only_ones_options() -> None:
    @rule("TST001", Severity.ERROR)
    def two_words(optimizers: Optimizers, intent: Intent | None, *, least: int = 3) -> Findings:
        del optimizers, intent, least
        return ()

    assert two_words.name == "two-words"
    assert {name: (need.kind, need.optional) for name, need in two_words.needs.items()} == {
        "optimizers": (Optimizers, False),
        "intent": (Intent, True),
    }
    assert dict(two_words.options) == {"least": 3}


def test_the_moment_is_the_latest_of_what_is_needed_and_ignores_what_is_only_welcome() -> None:
    @rule("TST001", Severity.ERROR)
    def of_intent(intent: Intent, gradients: Gradients | None) -> Findings:
        del intent, gradients
        return ()

    @rule("TST002", Severity.ERROR)
    def of_both(intent: Intent, gradients: Gradients) -> Findings:
        del intent, gradients
        return ()

    assert of_intent.moment is Moment.BEFORE
    assert of_both.moment is Moment.DURING


def test_a_parameter_that_is_no_evidence_is_refused_by_name() -> None:
    def judge(steps: int) -> Findings:
        del steps
        return ()

    with pytest.raises(TypeError, match="TST001: annotate 'steps' with the evidence it takes"):
        rule("TST001", Severity.ERROR)(judge)


def test_a_parameter_without_annotation_is_refused_by_name() -> None:
    def judge(gradients) -> Findings:  # type: ignore[no-untyped-def]  # noqa: ANN001
        del gradients
        return ()

    with pytest.raises(TypeError, match="TST001: annotate 'gradients'"):
        rule("TST001", Severity.ERROR)(judge)


def test_a_union_of_two_kinds_is_refused() -> None:
    def judge(either: Gradients | Optimizers) -> Findings:
        del either
        return ()

    with pytest.raises(TypeError, match="TST001: annotate 'either'"):
        rule("TST001", Severity.ERROR)(judge)
