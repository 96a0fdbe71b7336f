"""Rules are chosen by the beginning of their code, and ignored only for a reason."""

import pytest

from stepscope.core import Findings, Rule, Severity, rule
from stepscope.core.selection import select
from stepscope.evidence.gradients import Gradients


def made(code: str, name: str) -> Rule:
    def judge(_: Gradients) -> Findings:
        return ()

    judge.__name__ = name
    return rule(code, Severity.ERROR)(judge)


RULES = (
    made("FRZ001", "frozen_by_zero_lr"),
    made("FRZ003", "frozen_stats_drift"),
    made("GRD001", "no_path_to_loss"),
)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ((), ["FRZ001", "FRZ003", "GRD001"]),
        (("FRZ",), ["FRZ001", "FRZ003"]),
        (("FRZ003",), ["FRZ003"]),
        (("GRD", "FRZ001"), ["FRZ001", "GRD001"]),
    ],
)
def test_codes_choose_all_rules_that_begin_so(codes: tuple[str, ...], expected: list[str]) -> None:
    assert [each.code for each in select(RULES, codes).rules] == expected


def test_an_ignored_rule_is_asked_all_the_same() -> None:
    selection = select(RULES, (), [("FRZ", " known ")])
    assert len(selection.rules) == len(RULES)
    assert selection.ignored == {"FRZ001": "known", "FRZ003": "known"}


@pytest.mark.parametrize("reason", ["", "  "])
def test_an_ignore_without_a_reason_is_refused(reason: str) -> None:
    with pytest.raises(ValueError, match="'FRZ001' has no reason"):
        select(RULES, (), [("FRZ001", reason)])


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("FRZ002", "FRZ00"),
        ("frz003", "FRZ003"),
        ("FRX", "FRZ"),
        ("no-path-to-los", "GRD001"),
    ],
)
def test_an_unknown_code_is_refused_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"'{wrong}'; the nearest is {nearest}"):
        select(RULES, [wrong])
    with pytest.raises(ValueError, match=f"'{wrong}'; the nearest is {nearest}"):
        select(RULES, (), [(wrong, "because")])


def test_a_code_like_none_is_refused_without_a_guess() -> None:
    with pytest.raises(ValueError, match=r"no rule has the code 'qqqq' \("):
        select(RULES, ["qqqq"])


def test_an_empty_code_does_not_choose_everything() -> None:
    with pytest.raises(ValueError, match="no rule has the code ''"):
        select(RULES, [""])
