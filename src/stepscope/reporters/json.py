"""The report as one JSON object, for programs."""

import json
import re

import msgspec

from stepscope.core import Evidence, Place, Status
from stepscope.core.recording import sayable
from stepscope.core.verdict import Report, Reported, RunFacts
from stepscope.evidence.checkpoint_file import CheckpointFile, Comparison, Taints
from stepscope.reporters.content.circumstances import (
    EnvironmentEntry,
    LoaderEntry,
    MessageEntry,
    environment,
    loader_entries,
    message_entries,
    messages,
)
from stepscope.reporters.content.places import relative

VERSION = 1  # of this format; fields may be added without a new one
_NOT_ASCII = re.compile(r"[^\n -~]")


class RelatedPlace(msgspec.Struct, frozen=True):
    """A second place of a finding."""

    label: str
    at: Place


class FindingEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One finding. Paths below the folder of the run are relative to it."""

    rule: str
    name: str
    severity: str
    subject: str
    message: str
    measured: str
    expected: str
    at: Place
    related: tuple[RelatedPlace, ...] = ()
    ranks: tuple[int, ...] = ()  # that have it; empty where there is one process
    ignored: str | None = None  # the reason, among `ignored`


class Reason(msgspec.Struct, frozen=True):
    """A rule without an answer, and why."""

    rule: str
    reason: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """The run that was judged."""

    program: str
    root: str
    steps: int
    asked: int
    ending: str
    ranks: tuple[int, ...]  # that were recorded
    world_size: int
    compiled: bool  # torch.compile was used; the recorded steps ran eagerly
    wall_s: float
    strict: bool
    error: str = ""
    error_at: Place | None = None  # also where the program was when its time was up
    obstacle: str = ""  # why nothing found would not mean that all is well
    settings: str = ""  # the file that they were read from
    faults: tuple[str, ...] = ()  # of the observer, never of the run
    environment: EnvironmentEntry | None = None


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """The whole report."""

    version: int = VERSION
    verdict: str
    exit_code: int
    findings: tuple[FindingEntry, ...]
    ignored: tuple[FindingEntry, ...]
    passed: tuple[str, ...]
    skipped: tuple[Reason, ...]
    crashed: tuple[Reason, ...]
    notes: tuple[str, ...]
    run: Facts
    messages: tuple[MessageEntry, ...] = ()  # in the first process, the first ones
    messages_left_out: int = 0
    loaders: tuple[LoaderEntry, ...] = ()
    checkpoint: object = None  # `CheckpointFile` of `stepscope inspect`, field by field
    comparison: object = None  # `Comparison`, of `--against`
    taints: object = None  # `Taints`, of `--tainted-by`


def render(report: Report) -> str:
    """Write the report in the format that `Document` describes."""
    text = msgspec.json.format(msgspec.json.encode(document(report)), indent=2).decode()
    # JSON lets control characters above 0x7e through, which a terminal may obey.
    return _NOT_ASCII.sub(lambda found: json.dumps(found[0])[1:-1], text) + "\n"


def document(report: Report) -> Document:
    """Return the report as typed values."""
    run = report.run
    return Document(
        verdict=report.verdict.value,
        exit_code=report.exit_code,
        findings=tuple(_entry(each, run) for each in report.findings),
        ignored=tuple(_entry(each, run) for each in report.ignored),
        passed=tuple(each.rule.code for each in report.with_status(Status.PASSED)),
        skipped=_reasons(report, Status.SKIPPED),
        crashed=_reasons(report, Status.CRASHED),
        notes=tuple(map(_text, run.notes)),
        run=Facts(
            program=_text(run.program),
            root=_text(run.root),
            steps=run.steps,
            asked=run.asked,
            ending=run.ending,
            ranks=run.ranks,
            world_size=run.world_size,
            compiled=run.compiled,
            wall_s=round(run.wall_s, 3),
            strict=report.strict,
            error=_text(run.error),
            error_at=_place(run.error_at, run) if run.error_at else None,
            obstacle=report.obstacle,
            settings=_text(run.settings),
            faults=tuple(map(_text, run.faults)),
            environment=environment(run.seen, _text),
        ),
        messages=(listed := message_entries(run.seen, _text, lambda at: _place(at, run))),
        messages_left_out=len(messages(run.seen)) - len(listed),
        loaders=loader_entries(run.seen, _text, lambda at: _place(at, run)),
        checkpoint=_plain(run.seen.get(CheckpointFile)),
        comparison=_plain(run.seen.get(Comparison)),
        taints=_plain(run.seen.get(Taints)),
    )


def _plain(evidence: Evidence | None) -> object:
    return sayable(msgspec.to_builtins(evidence))


def _entry(reported: Reported, run: RunFacts) -> FindingEntry:
    finding = reported.finding
    return FindingEntry(
        rule=reported.rule.code,
        name=reported.rule.name,
        severity=reported.severity.value,
        subject=_text(finding.subject),
        message=_text(finding.message),
        measured=_text(finding.measured),
        expected=_text(finding.expected),
        at=_place(finding.at, run),
        related=tuple(RelatedPlace(_text(r.label), _place(r.at, run)) for r in finding.related),
        ranks=reported.ranks,
        ignored=_text(reported.ignored) or None,
    )


def _place(place: Place, run: RunFacts) -> Place:
    return msgspec.structs.replace(
        place,
        parameter=_text(place.parameter),
        module=_text(place.module),
        file=_text(relative(place.file, run.root)) if place.file else "",
        function=_text(place.function),
    )


def _reasons(report: Report, status: Status) -> tuple[Reason, ...]:
    return tuple(Reason(each.rule.code, _text(each.reason)) for each in report.with_status(status))


def _text(text: str) -> str:
    """Return it without lone surrogates, which UTF-8 cannot say."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
