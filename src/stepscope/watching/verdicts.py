"""What the rules say of a run, time and again: each finding is new once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from stepscope.core import Evidence, Finding, Recording, Rule, Severity, judge
from stepscope.core.report import Outcome, Status
from stepscope.evidence.checkpoints import Checkpoints
from stepscope.evidence.environment import Beginning

_BEGINNINGS = (Beginning.obtained_by, Checkpoints.obtained_by)
_WORST = (Status.FAILED, Status.CRASHED, Status.PASSED, Status.SKIPPED)


@dataclass(frozen=True, slots=True)
class News:
    """A finding that has become true."""

    rule: Rule
    finding: Finding
    step: int  # of the run, at which it was first seen

    @property
    def severity(self) -> Severity:
        """What it weighs."""
        return self.finding.severity or self.rule.severity

    @property
    def key(self) -> tuple[str, ...]:
        """What makes two of them one: not their numbers, and not their moment."""
        return key_of(self.rule, self.finding)


class Verdicts:
    """Judges what is known so far, and remembers what was said.

    A rule has failed in a run if it once failed, and is skipped if it could never judge. What a
    rule says again in other numbers is no news; the report has its latest numbers.
    """

    def __init__(
        self, rules: Sequence[Rule], options: Mapping[str, Mapping[str, object]] | None = None
    ) -> None:
        self._rules = tuple(rules)
        self._options = options or {}
        self._outcomes: dict[str, Outcome] = {}
        self._said: dict[tuple[str, ...], Finding] = {}  # by code and subject

    def judge(self, rules: Sequence[Rule], recording: Recording, step: int) -> list[News]:
        """Ask some of the rules, and return what is new at this step of the run."""
        news: list[News] = []
        for outcome in judge(rules, recording, self._options):
            for finding in outcome.findings:
                key = key_of(outcome.rule, finding)
                if key not in self._said:
                    news.append(News(outcome.rule, finding, step))
                self._said[key] = finding
            self._keep(outcome)
        return news

    def recall(self, rule: Rule, finding: Finding) -> None:
        """Keep what was found while the run went, where it cannot be found again."""
        if self._said.setdefault(key_of(rule, finding), finding) is finding:
            self._keep(Outcome(rule, Status.FAILED))

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return one outcome for each rule, with all that it ever found."""
        return tuple(self._joined(rule) for rule in self._rules)

    def _joined(self, rule: Rule) -> Outcome:
        known = self._outcomes.get(rule.code)
        if known is None:
            return Outcome(rule, Status.SKIPPED, reason="nothing of the run was recorded")
        findings = tuple(each for key, each in self._said.items() if key[0] == rule.code)
        return Outcome(rule, known.status, findings, known.reason)

    def _keep(self, outcome: Outcome) -> None:
        known = self._outcomes.get(outcome.rule.code)
        if known is not None and any(each in outcome.reason for each in _BEGINNINGS):
            return  # asked again when the beginning is past, it has nothing to add
        if known is None or _WORST.index(outcome.status) <= _WORST.index(known.status):
            self._outcomes[outcome.rule.code] = outcome


def key_of(rule: Rule, finding: Finding) -> tuple[str, ...]:
    """Return what a finding is known by: not its numbers, and not its moment."""
    at = finding.at
    place = at.file, str(at.line), at.parameter, at.module
    return rule.code, finding.subject, finding.message, *place


def is_over_time(rule: Rule) -> bool:
    """Tell a rule that may take more than a window shows."""
    return any(_is_of_course(need.kind) for need in rule.needs.values())


def is_of_windows(rule: Rule) -> bool:
    """Tell a rule that can judge a window alone, though more may be known over the run."""
    return not any(_is_of_course(need.kind) for need in rule.needs.values() if not need.optional)


def _is_of_course(kind: type[Evidence]) -> bool:
    return kind.__module__.startswith("stepscope.evidence.course.")
