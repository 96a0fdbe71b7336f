"""What is said of a run: one outcome for EACH selected rule, one that could not judge too."""

import enum
import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from stepscope.core.finding import Finding, Severity
from stepscope.core.recording import Recording
from stepscope.core.rule import NotJudged, Rule


class Status(enum.Enum):
    """How a rule came out."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"  # not judged; `reason` says what is missing
    CRASHED = "crashed"  # a fault of the rule, not of the run; `reason` is the traceback


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one rule says."""

    rule: Rule
    status: Status
    findings: tuple[Finding, ...] = ()
    reason: str = ""

    def severity(self, finding: Finding) -> Severity:
        """Return what this finding weighs: its own severity, or else that of its rule."""
        return finding.severity or self.rule.severity


def judge(
    rules: Iterable[Rule],
    recording: Recording,
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> tuple[Outcome, ...]:
    """Ask every rule about the recording. Never raises because of a rule.

    `options` maps codes to the options that the user has set.
    """
    chosen = options or {}
    return tuple(_ask(each, recording, chosen.get(each.code, {})) for each in rules)


def _ask(rule: Rule, recording: Recording, options: Mapping[str, object]) -> Outcome:
    evidence = {name: recording.get(need.kind) for name, need in rule.needs.items()}
    missing = [
        need.kind.obtained_by
        for name, need in rule.needs.items()
        if evidence[name] is None and not need.optional
    ]
    if missing:
        return Outcome(rule, Status.SKIPPED, reason="needs " + " and ".join(dict.fromkeys(missing)))
    try:
        findings = tuple(rule.judge(**evidence, **{**rule.options, **options}))
    except NotJudged as why:
        return Outcome(rule, Status.SKIPPED, reason=str(why))
    except Exception:  # noqa: BLE001 - a broken rule must never hide what the others found
        return Outcome(rule, Status.CRASHED, reason=traceback.format_exc())
    return Outcome(rule, Status.FAILED if findings else Status.PASSED, findings)
