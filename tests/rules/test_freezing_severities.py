"""How much the findings on freezing and modes weigh, and what they point at."""

import pytest

from stepscope.catalogue import Example
from stepscope.core import Finding, Rule, Severity, judge
from stepscope.rules.evaluation import eval_in_train_mode
from stepscope.rules.freezing import (
    freeze_undone,
    frozen_but_changed,
    frozen_by_zero_lr,
    frozen_in_train_mode,
    frozen_stats_drift,
    intent_frozen_trainable,
)
from stepscope.rules.normalisation import one_value_per_channel
from stepscope.session import record_example

CHANGED = frozen_but_changed.frozen_but_changed
DRIFT = frozen_stats_drift.frozen_stats_drift
DROPS = frozen_in_train_mode.frozen_in_train_mode
UNDONE = freeze_undone.freeze_undone


def found(rule: Rule, example: Example) -> list[tuple[Severity, Finding]]:
    (outcome,) = judge([rule], record_example(example))
    return [(outcome.severity(finding), finding) for finding in outcome.findings]


@pytest.mark.parametrize(
    ("rule", "example", "severity"),
    [
        (
            CHANGED,
            frozen_but_changed.fails_when_a_declared_frozen_part_is_initialised_again,
            "error",
        ),
        (
            CHANGED,
            frozen_but_changed.fails_as_a_note_when_a_frozen_part_is_written_to_undeclared,
            "note",
        ),
        (DRIFT, frozen_stats_drift.fails_when_a_frozen_backbone_runs_in_training_mode, "warning"),
        (
            DRIFT,
            frozen_stats_drift.fails_when_a_layer_without_parameters_stands_in_a_frozen_part,
            "error",
        ),
        (DROPS, frozen_in_train_mode.fails_when_a_frozen_encoder_drops_at_random, "note"),
        (DROPS, frozen_in_train_mode.fails_when_the_part_was_declared_frozen, "warning"),
        (
            UNDONE,
            freeze_undone.fails_when_the_model_is_put_into_training_mode_after_its_frozen_part,
            "warning",
        ),
        (
            UNDONE,
            freeze_undone.fails_when_a_declared_frozen_parameter_requires_gradients_again,
            "error",
        ),
    ],
)
def test_a_finding_weighs_more_where_the_intent_is_declared(
    rule: Rule, example: Example, severity: str
) -> None:
    assert [weight for weight, _ in found(rule, example)] == [Severity(severity)]


def test_a_part_at_zero_is_one_finding_that_names_the_line_of_its_optimizer() -> None:
    example = frozen_by_zero_lr.fails_when_the_backbone_has_a_learning_rate_of_zero
    ((_, finding),) = found(frozen_by_zero_lr.frozen_by_zero_lr, example)
    assert finding.subject == "Linear (2 of 2 parameters)"
    assert "lr 0 in group 0 of AdamW over 2 steps; 20 of 30 elements" in finding.measured
    assert finding.at.file == frozen_by_zero_lr.__file__
    assert finding.at.line == example.__code__.co_firstlineno + 4


def test_an_undone_freeze_names_the_line_of_train_and_that_of_eval() -> None:
    example = freeze_undone.fails_when_the_model_is_put_into_training_mode_after_its_frozen_part
    ((_, finding),) = found(UNDONE, example)
    first = example.__code__.co_firstlineno
    assert (finding.subject, finding.at.line - first) == ("0", 8)
    assert [each.at.line - first for each in finding.related] == [6]


def test_a_pattern_that_names_nothing_is_told_the_nearest_name() -> None:
    example = intent_frozen_trainable.fails_when_a_pattern_names_nothing
    ((_, finding),) = found(intent_frozen_trainable.intent_frozen_trainable, example)
    assert "nearest: backbone" in finding.measured


def test_a_training_in_evaluation_mode_names_the_line_of_eval() -> None:
    example = eval_in_train_mode.fails_when_nobody_calls_train_after_loading
    ((weight, finding),) = found(eval_in_train_mode.eval_in_train_mode, example)
    assert weight is Severity.WARNING
    assert finding.message == "is trained in evaluation mode"
    assert finding.at.line == example.__code__.co_firstlineno + 4


def test_a_refusal_of_one_row_says_so_and_names_the_layer() -> None:
    example = one_value_per_channel.fails_when_batch_normalisation_raises_on_one_row
    ((_, finding),) = found(one_value_per_channel.one_value_per_channel, example)
    assert finding.at.module == "head.1"
    assert finding.message == "was given one value for each statistic, and raised"
