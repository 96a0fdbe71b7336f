"""Which rules are asked, and which of their findings the user has chosen to live with."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from stepscope.core.rule import Rule


@dataclass(frozen=True, slots=True)
class Selection:
    """The rules to ask, by code, and the reason for each whose findings are ignored."""

    rules: tuple[Rule, ...]
    ignored: Mapping[str, str]


def select(
    rules: Sequence[Rule], codes: Sequence[str] = (), ignore: Iterable[tuple[str, str]] = ()
) -> Selection:
    """Choose rules by code or by the beginning of one: `FRZ003`, `FRZ`. No codes: all rules.

    An ignored rule is asked all the same: what it finds is listed apart, with the reason.

    Raises:
        ValueError: no rule has such a code, or an ignore is without a reason.
    """
    chosen = {rule.code for code in codes for rule in _meant(code, rules)} if codes else None
    reasons: dict[str, str] = {}
    for code, reason in ignore:
        if not reason.strip():
            raise ValueError(
                f"ignore of {code!r} has no reason; say why its findings can be lived with"
            )
        reasons.update((rule.code, reason.strip()) for rule in _meant(code, rules))
    return Selection(
        tuple(rule for rule in rules if chosen is None or rule.code in chosen), reasons
    )


def _meant(code: str, rules: Sequence[Rule]) -> list[Rule]:
    found = [rule for rule in rules if code and rule.code.startswith(code)]
    if not found:
        raise ValueError(unknown_code(code, rules))
    return found


def unknown_code(code: str, rules: Sequence[Rule]) -> str:
    """Say that there is no such rule, and which one comes nearest."""
    by_word = {rule.name: rule.code for rule in rules}
    for rule in rules:
        by_word |= {rule.code[:3].lower(): rule.code[:3], rule.code.lower(): rule.code}
    close = difflib.get_close_matches(code.lower(), by_word, n=1, cutoff=0.5)
    hint = f"; the nearest is {by_word[close[0]]}" if close else ""
    return f"no rule has the code {code!r}{hint} (`stepscope rule` lists them all)"
