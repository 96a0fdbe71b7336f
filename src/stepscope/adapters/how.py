"""How a program wants to be watched: the keywords that `watch` and all callbacks share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypedDict

import msgspec

from stepscope.adapters.watched_run import OnError
from stepscope.catalogue import every_rule
from stepscope.configurations.settings import chosen, load
from stepscope.configurations.table import Table
from stepscope.evidence.intent import Intent
from stepscope.summing_up import Terms
from stepscope.watching.watched import Plan

POLICIES = ("report", "stop")


class How(TypedDict, total=False):
    """All are optional; what is not given comes from the nearest stepscope.toml."""

    on_error: OnError  # "report", "stop", or a function of each finding of weight error
    folder: str | Path | None  # where `.stepscope` lies; the current one
    intent: Mapping[str, object] | None  # in the place of the file's [intent]
    select: Sequence[str]  # codes, or beginnings of codes
    ignore: Mapping[str, str]  # code -> why its findings can be lived with
    settings: str | Path | None  # the file to read instead of the nearest
    strict: bool  # warnings count as faults in the verdict
    steps: int  # of each close look
    look_at: Sequence[int]  # steps from which to look closely, besides the start
    every: int | None  # sample every so manieth step; None: as often as can be afforded


@dataclass(frozen=True, slots=True)
class Settled:
    """The same, checked."""

    terms: Terms
    plan: Plan
    home: Path
    on_error: OnError


def settle(
    *,
    on_error: OnError = "report",
    folder: str | Path | None = None,
    intent: Mapping[str, object] | None = None,
    select: Sequence[str] = (),
    ignore: Mapping[str, str] | None = None,
    settings: str | Path | None = None,
    strict: bool = False,
    steps: int = 3,
    look_at: Sequence[int] = (),
    every: int | None = None,
) -> Settled:
    """Check how a program wants to be watched, and read its settings.

    Raises:
        ValueError: a keyword, or the file, holds what stepscope does not know.
    """
    if not callable(on_error) and on_error not in POLICIES:
        raise ValueError(f"on_error={on_error!r}; expected 'report', 'stop' or a function")
    for name, number in (("steps", steps), ("every", every)):
        if number is not None and number < 1:
            raise ValueError(f"{name}={number!r}; expected a whole number of steps, from 1")
    rules = every_rule()
    known = load(Path(settings) if settings is not None else None, rules)
    if intent is not None:
        known = msgspec.structs.replace(known, intent=_intent(intent))
    pairs = [f"{code}={reason}" for code, reason in (ignore or {}).items()]
    terms = Terms(
        selection=chosen(known, rules, select, pairs),
        settings=known,
        root=str(Path.cwd()),
        strict=strict,
    )
    plan = Plan(steps=steps, at=tuple(look_at), every=every)
    return Settled(terms, plan, Path(folder) if folder is not None else Path.cwd(), on_error)


def _intent(values: Mapping[str, object]) -> Intent:
    table = Table(Path("watch(intent=...)"), "")
    table.expect_keys(values, Intent.__struct_fields__)
    return table.typed(values, Intent)
