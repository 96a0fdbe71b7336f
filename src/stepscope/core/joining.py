"""Joins what was said of each process of a run into one report."""

from collections.abc import Callable, Mapping, Sequence

import msgspec

from stepscope.core.finding import Finding, Severity
from stepscope.core.place import Place
from stepscope.core.report import Outcome, Status
from stepscope.core.verdict import Report, Reported, RunFacts

_ORDER = (Severity.ERROR, Severity.WARNING, Severity.NOTE)
_WORST = (Status.FAILED, Status.CRASHED, Status.PASSED, Status.SKIPPED)


def join(
    run: RunFacts,
    outcomes: Mapping[int, Sequence[Outcome]],
    *,
    strict: bool = False,
    ignore: Mapping[str, str] | None = None,
    locate: Callable[[Finding], Place | None] = lambda _: None,
) -> Report:
    """Make one report of the outcomes of each rank.

    All ranks were asked the same rules in the same order. `ignore` maps codes to reasons;
    `locate` finds a line to point at for a finding without one.
    A rule has failed if it failed on one rank, and is skipped only if no rank could judge.
    """
    reasons = ignore or {}
    joined: list[Outcome] = []
    found: list[Reported] = []
    for column in zip(*outcomes.values(), strict=True):
        by_rank = dict(zip(outcomes, column, strict=True))
        worst = min(column, key=lambda each: _WORST.index(each.status))
        merged = _merge(by_rank, several=len(outcomes) > 1 or run.world_size > 1)
        for finding, ranks in merged:
            found.append(
                Reported(
                    rule=worst.rule,
                    finding=finding,
                    severity=worst.severity(finding),
                    ranks=ranks,
                    nearest=None if finding.at.line else locate(finding),
                    ignored=reasons.get(worst.rule.code, ""),
                )
            )
        findings = tuple(finding for finding, _ in merged)
        joined.append(Outcome(worst.rule, worst.status, findings, worst.reason))
    found.sort(key=lambda each: (_ORDER.index(each.severity), each.rule.code))
    return Report(
        run=run,
        outcomes=tuple(sorted(joined, key=lambda each: each.rule.code)),
        findings=tuple(each for each in found if not each.ignored),
        ignored=tuple(each for each in found if each.ignored),
        strict=strict,
    )


def _merge(
    outcomes: Mapping[int, Outcome], *, several: bool
) -> list[tuple[Finding, tuple[int, ...]]]:
    """Merge what several ranks say alike; a measurement that differs is said to differ."""
    groups: dict[Finding, list[tuple[int, Finding]]] = {}
    for rank, outcome in outcomes.items():
        for finding in outcome.findings:
            alike = msgspec.structs.replace(_anywhere(finding), measured="")
            groups.setdefault(alike, []).append((rank, finding))
    merged: list[tuple[Finding, tuple[int, ...]]] = []
    for members in groups.values():
        # One rank may say the same of two moments: those stay apart.
        rounds: dict[int, list[Finding]] = {}
        for rank, finding in members:
            rounds.setdefault(rank, []).append(finding)
        for nth in range(max(len(each) for each in rounds.values())):
            having = {rank: each[nth] for rank, each in rounds.items() if nth < len(each)}
            merged.append((_one_of(having, several=several), tuple(having) if several else ()))
    return merged


def _one_of(having: Mapping[int, Finding], *, several: bool) -> Finding:
    first, finding = next(iter(having.items()))
    if not several:
        return finding
    others = [rank for rank, each in having.items() if each.measured != finding.measured]
    measured = finding.measured
    if others:
        measured += f" (rank {first}; differs on {say_ranks(others)})"
    at = msgspec.structs.replace(finding.at, rank=first)
    return msgspec.structs.replace(finding, measured=measured, at=at)


def _anywhere(finding: Finding) -> Finding:
    return msgspec.structs.replace(finding, at=msgspec.structs.replace(finding.at, rank=None))


def say_ranks(ranks: Sequence[int]) -> str:
    """Say which processes: "rank 2", "ranks 0-3", "ranks 0, 2-3"."""
    spans: list[list[int]] = []
    for rank in sorted(ranks):
        if spans and rank == spans[-1][-1] + 1:
            spans[-1][1:] = [rank]
        else:
            spans.append([rank])
    words = ", ".join("-".join(str(end) for end in span) for span in spans)
    return f"rank{'s' if len(ranks) > 1 else ''} {words}"
