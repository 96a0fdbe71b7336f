"""Every example in the catalogue holds. Nothing here needs an edit when a rule is added."""

import pytest

from stepscope.catalogue import Example, every_rule, examples
from stepscope.core import Rule, Status, judge
from stepscope.session import record_example

VERDICTS = {"fails": Status.FAILED, "passes": Status.PASSED, "skips": Status.SKIPPED}
CASES = [
    pytest.param(rule, example, id=f"{rule.code}-{name}")
    for rule in every_rule()
    for name, example in examples(rule)
]


@pytest.mark.parametrize(("rule", "example"), CASES)
def test_example_holds(rule: Rule, example: Example) -> None:
    recording = record_example(example)
    (outcome,) = judge([rule], recording)
    expected = VERDICTS[example.__name__.partition("_")[0]]
    assert outcome.status is expected, outcome.reason or outcome.findings
