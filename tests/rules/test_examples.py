"""Every example in the catalogue holds. Nothing here needs an edit when a rule is added."""

import re

import pytest

from stepscope.catalogue import Example, every_rule, examples
from stepscope.core import Rule, Severity, Status, judge
from stepscope.session import record_example

VERDICTS = {"fails": Status.FAILED, "passes": Status.PASSED, "skips": Status.SKIPPED}
CASES = [
    pytest.param(rule, example, id=f"{rule.code}-{name}")
    for rule in every_rule()
    for name, example in examples(rule)
]


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # LBFGS of torch 2.8
@pytest.mark.parametrize(("rule", "example"), CASES)
def test_example_holds(rule: Rule, example: Example) -> None:
    recording = record_example(example)
    (outcome,) = judge([rule], recording)
    expected = VERDICTS[example.__name__.partition("_")[0]]
    assert outcome.status is expected, outcome.reason or outcome.findings
    named = re.match(r"fails_(?:as|with)_an?_(error|warning|note)_", example.__name__)
    if outcome.findings and named:
        assert {outcome.severity(each) for each in outcome.findings} == {Severity(named[1])}
    elif outcome.findings and rule.severity is not Severity.NOTE:
        assert {outcome.severity(each) for each in outcome.findings} != {Severity.NOTE}
