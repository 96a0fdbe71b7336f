"""The report as workflow commands: GitHub shows each finding at its line of a pull request."""

from stepscope.core import Severity
from stepscope.core.verdict import Report, Reported, RunFacts, Verdict
from stepscope.reporters.content.places import element, moment, relative
from stepscope.reporters.content.printable import printable
from stepscope.reporters.content.summary import verdict

COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
VERDICTS = {Verdict.CLEAN: "notice", Verdict.FINDINGS: "error", Verdict.NOT_JUDGED: "error"}


def render(report: Report) -> str:
    """Write one annotation for each finding, then one for the verdict."""
    lines = [_annotation(each, report.run) for each in report.findings]
    message = "\n".join(filter(None, (verdict(report), report.run.error)))
    lines.append(_command(VERDICTS[report.verdict], {"title": "stepscope"}, message))
    return "\n".join(lines) + "\n"


def _annotation(reported: Reported, run: RunFacts) -> str:
    finding = reported.finding
    at = finding.at if finding.at.line else reported.nearest or finding.at
    properties = {"title": f"{reported.rule.code} {reported.rule.name}"}
    if at.file:
        place = {"file": relative(at.file, run.root), "line": str(max(at.line, 1))}
        properties = place | properties
    where = (element(finding.at, finding.subject), moment(reported))
    lines = [
        f"{finding.subject}: {finding.message}",
        f"measured: {finding.measured}",
        f"expected: {finding.expected}",
        ", ".join(word for word in where if word),
        f"why, and what to do: stepscope rule {reported.rule.code}",
    ]
    return _command(COMMANDS[reported.severity], properties, "\n".join(filter(None, lines)))


def _command(command: str, properties: dict[str, str], message: str) -> str:
    listed = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{command} {listed}::{_data(message)}"


# https://github.com/actions/toolkit/blob/main/packages/core/src/command.ts, escapeData and
# escapeProperty: a raw line feed would let a message give commands of its own.
def _data(text: str) -> str:
    return printable(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
