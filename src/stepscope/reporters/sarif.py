"""The report in SARIF 2.1.0, which code hosts and editors read.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/sarif-v2.1.0-os.html
"""

import hashlib
import json
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

from stepscope.core import Outcome, Place, Rule, Severity, Status
from stepscope.core.verdict import Report, Reported, RunFacts
from stepscope.reporters.content.places import moment, relative
from stepscope.reporters.content.printable import printable
from stepscope.reporters.content.summary import last_line
from stepscope.version import __version__

Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"
Node: TypeAlias = dict[str, Json]

SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def render(report: Report) -> str:
    """Write one run with its rules, results and the notifications of what could not be judged."""
    run = report.run
    rules = [each.rule for each in report.outcomes]
    places = {rule.code: index for index, rule in enumerate(rules)}
    results = [_result(each, run, places) for each in (*report.findings, *report.ignored)]
    driver: Node = {
        "name": "stepscope",
        "version": __version__,
        "semanticVersion": __version__,
        "rules": [_rule(rule) for rule in rules],
    }
    log: Node = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "invocations": [_invocation(report, places)],
                "originalUriBaseIds": {"SRCROOT": {"uri": _uri(run.root) + "/"}},
                "columnKind": "unicodeCodePoints",
                "results": list(results),
            }
        ],
    }
    return json.dumps(log, indent=2) + "\n"


def _rule(rule: Rule) -> Node:
    headline, _, prose = rule.page.partition("\n")
    return {
        "id": rule.code,
        "name": "".join(word.capitalize() for word in rule.name.split("-")),
        "shortDescription": {"text": headline or rule.name},
        "fullDescription": {"text": headline or rule.name},
        "help": {"text": prose.strip() or rule.name, "markdown": prose.strip() or rule.name},
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }


def _result(reported: Reported, run: RunFacts, places: dict[str, int]) -> Node:
    finding = reported.finding
    text = f"{finding.subject}: {finding.message}. Measured: {finding.measured}. "
    text += f"Expected: {finding.expected}."
    seen = moment(reported)
    result: Node = {
        "ruleId": reported.rule.code,
        "ruleIndex": places[reported.rule.code],
        "level": LEVELS[reported.severity],
        "message": {"text": _text(text + (f" Seen {seen}." if seen else ""))},
        "locations": [_location(finding.at, reported.nearest, run)],
        "partialFingerprints": {"stepscope/v1": _fingerprint(reported, run)},
    }
    if finding.related:
        result["relatedLocations"] = [
            {"id": number, "message": {"text": _text(each.label)}, **_location(each.at, None, run)}
            for number, each in enumerate(finding.related, start=1)
        ]
    if reported.ignored:
        result["suppressions"] = [
            {"kind": "external", "justification": _text(reported.ignored), "status": "accepted"}
        ]
    return result


def _location(at: Place, nearest: Place | None, run: RunFacts) -> Node:
    """Return a line to point at: the finding's own, or the nearest known, or the program."""
    line = at if at.line else nearest or at
    location: Node = {}
    if line.file:
        region: Node = {"startLine": max(line.line, 1)}
        location["physicalLocation"] = {"artifactLocation": _artifact(line, run), "region": region}
    names = ((at.parameter, "member"), (at.module, "module"), (at.function, "function"))
    logical: list[Json] = [
        {"fullyQualifiedName": _text(name), "kind": kind} for name, kind in names if name
    ]
    if logical:
        location["logicalLocations"] = logical
    return location


def _artifact(place: Place, run: RunFacts) -> Node:
    path = relative(place.file, run.root)
    if Path(path).is_absolute():
        return {"uri": _uri(path)}
    return {"uri": _quoted(path), "uriBaseId": "SRCROOT"}


def _invocation(report: Report, places: dict[str, int]) -> Node:
    run = report.run
    told = [_notification(each, places) for each in report.outcomes]
    notes: list[Json] = [each for each in told if each]
    notes += [{"level": "note", "message": {"text": _text(note)}} for note in run.notes]
    notes += [{"level": "error", "message": {"text": _text(last_line(f))}} for f in run.faults]
    if report.obstacle:
        text = _text(": ".join(word for word in (report.obstacle, run.error) if word))
        problem: Node = {"level": "error", "message": {"text": text}}
        if run.error_at is not None and run.error_at.file:
            problem["locations"] = [_location(run.error_at, None, run)]
        notes.append(problem)
    return {
        "executionSuccessful": not report.obstacle,
        "exitCode": report.exit_code,
        "workingDirectory": {"uri": _uri(run.root) + "/"},
        "toolExecutionNotifications": notes,
    }


def _notification(outcome: Outcome, places: dict[str, int]) -> Node:
    """Say that a rule did not judge, and why; {} where it did."""
    if outcome.status not in (Status.SKIPPED, Status.CRASHED):
        return {}
    code = outcome.rule.code
    is_skip = outcome.status is Status.SKIPPED
    reason = outcome.reason if is_skip else last_line(outcome.reason)
    return {
        "level": "note" if is_skip else "error",
        "message": {"text": _text(f"{code} {outcome.status.value}: {reason}")},
        "associatedRule": {"id": code, "index": places[code]},
    }


def _fingerprint(reported: Reported, run: RunFacts) -> str:
    """Stay the same when lines move and numbers change."""
    at = reported.finding.at
    file = relative(at.file, run.root) if at.file else ""
    parts = (reported.rule.code, file, at.function, at.module, at.parameter)
    subject = "" if at.module or at.parameter else reported.finding.subject
    text = "\0".join((*parts, subject))
    return hashlib.sha256(text.encode("utf-8", "backslashreplace")).hexdigest()[:32]


def _uri(path: str) -> str:
    return "file://" + _quoted(path if path.startswith("/") else f"/{path}").rstrip("/")


def _quoted(path: str) -> str:
    return quote(path.replace("\\", "/").encode("utf-8", "surrogateescape"), safe="/")


def _text(text: str) -> str:
    return printable(text)
