"""The words this house speaks. Knows no rule, no probe, no torch."""

from stepscope.core.evidence import Evidence, Moment
from stepscope.core.finding import Finding, Related, Severity
from stepscope.core.place import Place
from stepscope.core.recording import Recording
from stepscope.core.report import Outcome, Status, judge
from stepscope.core.rule import Findings, NotJudged, Rule, rule
from stepscope.core.watching import Watch

__all__ = [
    "Evidence",
    "Finding",
    "Findings",
    "Moment",
    "NotJudged",
    "Outcome",
    "Place",
    "Recording",
    "Related",
    "Rule",
    "Severity",
    "Status",
    "Watch",
    "judge",
    "rule",
]
