"""How much the findings on checkpoints weigh, on either side of each threshold."""

import pytest

from stepscope.catalogue import Example
from stepscope.core import Rule, Severity, judge
from stepscope.rules.checkpoint import (
    loaded_then_reinitialised,
    missing_checkpoint,
    partial_load,
    resume_overrides_config,
)
from stepscope.session import record_example

ABSENT = missing_checkpoint.missing_checkpoint
PARTIAL = partial_load.partial_load
RESET = loaded_then_reinitialised.loaded_then_reinitialised
OVERRIDDEN = resume_overrides_config.resume_overrides_config


@pytest.mark.parametrize(
    ("rule", "example", "severity"),
    [
        (ABSENT, missing_checkpoint.fails_when_the_declared_checkpoint_is_absent, "error"),
        (ABSENT, missing_checkpoint.fails_when_another_file_is_read_in_its_place, "error"),
        (ABSENT, missing_checkpoint.fails_when_the_path_to_resume_from_does_not_exist, "error"),
        (
            ABSENT,
            missing_checkpoint.fails_when_an_option_that_may_mean_reading_names_nothing,
            "warning",
        ),
        (ABSENT, missing_checkpoint.fails_with_a_note_when_the_program_looks_in_vain, "note"),
        (ABSENT, missing_checkpoint.fails_with_a_note_when_a_job_may_be_queued_again, "note"),
        (PARTIAL, partial_load.fails_when_a_wrapper_has_led_every_key, "error"),
        (PARTIAL, partial_load.fails_when_the_weights_are_one_level_deeper, "error"),
        (PARTIAL, partial_load.fails_when_most_of_model_and_file_did_not_meet, "warning"),
        (PARTIAL, partial_load.fails_with_a_note_when_half_of_the_file_is_used, "note"),
        (PARTIAL, partial_load.fails_with_a_note_when_an_adapter_is_loaded, "note"),
        (PARTIAL, partial_load.fails_with_a_note_for_a_new_head, "note"),
        (RESET, loaded_then_reinitialised.fails_when_half_is_reset, "error"),
        (RESET, loaded_then_reinitialised.fails_with_a_note_when_less_than_half_is_reset, "note"),
        (
            OVERRIDDEN,
            resume_overrides_config.fails_when_a_resume_brings_the_old_scale_back,
            "error",
        ),
        (
            OVERRIDDEN,
            resume_overrides_config.fails_with_a_note_when_a_resume_restores_the_learning_rate,
            "note",
        ),
    ],
)
def test_findings_weigh_what_their_example_says(
    rule: Rule, example: Example, severity: str
) -> None:
    (outcome,) = judge([rule], record_example(example))
    assert {outcome.severity(finding) for finding in outcome.findings} == {Severity(severity)}
