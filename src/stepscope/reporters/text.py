"""The report for a person at a terminal: calm at 80 columns, complete without colour."""

import io
from collections.abc import Iterator
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule as Line
from rich.table import Table
from rich.text import Text

from stepscope.core import Place, Severity, Status
from stepscope.core.verdict import Report, Reported, RunFacts, Verdict
from stepscope.reporters.content.checkpoint import Section, sections
from stepscope.reporters.content.circumstances import messages
from stepscope.reporters.content.excerpt import MEANT, Excerpt, excerpts
from stepscope.reporters.content.places import element, moment, relative, source_line
from stepscope.reporters.content.printable import one_line, printable
from stepscope.reporters.content.summary import count, crashes, last_line, observed, skips, verdict

WIDTH = 80
NAME = 28  # characters of a name in a table
STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
VERDICT_STYLES = {
    Verdict.CLEAN: "bold green",
    Verdict.FINDINGS: "bold red",
    Verdict.NOT_JUDGED: "bold yellow",
}


def render(report: Report, *, width: int = WIDTH, colour: bool = False) -> str:
    """Write findings by weight and rule, what was judged and what was not, then the verdict.

    `width` and `colour` are those of the terminal that it is for.
    """
    console = Console(
        file=io.StringIO(),
        width=width,
        force_terminal=colour,
        color_system="standard" if colour else None,
        no_color=not colour,
        highlight=False,
        markup=False,
        emoji=False,
        legacy_windows=False,
    )
    with console.capture() as captured:
        for part in _parts(report):
            console.print(part)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"


def _parts(report: Report) -> Iterator[RenderableType]:
    for section in sections(report.run.seen):
        yield ""
        yield Line(Text(one_line(section.title), "bold"), align="left", style="dim")
        yield Padding(_section(section), (0, 0, 0, 2))
    yield ""
    if report.run.error:
        yield Text(_failure(report.run), "bold")
        yield ""
    for (severity, rule), members in groupby(
        report.findings, lambda each: (each.severity, each.rule)
    ):
        title = Text.assemble(
            (f"{severity.value:<8}", STYLES[severity]), (f"{rule.code} {rule.name}", "bold")
        )
        yield Line(title, align="left", style="dim")
        for reported in members:
            yield ""
            yield Padding(_finding(reported, report.run), (0, 0, 0, 2))
        yield ""
        yield Padding(Text(f"why, and what to do: stepscope rule {rule.code}", "dim"), (0, 0, 0, 2))
        yield ""
    yield Line(style="dim")
    yield _summary(report)
    yield ""
    if report.run.error or report.run.error_at:
        heading = "the program's error" if report.run.error else "where the program was"
        yield Line(Text(heading, "bold"), align="left", style="dim")
        yield ""
        yield Padding(_end(report.run), (0, 0, 0, 2))
        yield ""
    yield Text(verdict(report), VERDICT_STYLES[report.verdict])


def _section(section: Section) -> Table:
    """Lay out a table: pairs as those of a finding, others with their numbers flush right."""
    if not section.columns:
        return _pairs(*((word, one_line(text)) for word, text in section.rows))
    table = Table.grid(padding=(0, 2, 0, 0))
    for at, column in enumerate(section.columns):
        if at in section.right:
            table.add_column(column, justify="right", no_wrap=True)
        else:
            table.add_column(column, overflow="fold")
    table.show_header, table.header_style = True, "dim"
    kept = [at for at in range(len(section.columns)) if any(row[at] for row in section.rows)]
    table.columns = [table.columns[at] for at in kept]
    for row in section.rows:
        table.add_row(*(Text(_shortened(one_line(row[at]), at)) for at in kept))
    return table


def _shortened(cell: str, column: int) -> str:
    """Leave the middle out of a long name, so that a row stays a line."""
    if column or len(cell) <= NAME:
        return cell
    return f"{cell[: NAME // 3]}…{cell[len(cell) - 2 * NAME // 3 + 1 :]}"


def _failure(run: RunFacts) -> str:
    """Say in one sentence that the program failed: what was found may come from that."""
    what = run.obstacle or "the program failed"
    at = source_line(run.error_at, run) if run.error_at else ""
    error = next((line for line in run.error.splitlines() if line.strip()), "")
    return one_line(f"{what[0].upper()}{what[1:]}{', at ' if at else ''}{at}: {error}")


def _finding(reported: Reported, run: RunFacts) -> RenderableType:
    finding = reported.finding
    facts = [
        ("measured", printable(finding.measured)),
        ("expected", printable(finding.expected)),
        ("where", element(finding.at, finding.subject)),
        ("seen", moment(reported)),
    ]
    if run.settings and reported.nearest and reported.nearest.file == run.settings:
        facts.append(("declared", source_line(reported.nearest, run)))
    shown = excerpts(finding.at, finding.related, run.root)
    if reported.severity is Severity.NOTE:  # nothing need change: said in short
        facts[1] = ("line", source_line(finding.at, run))
        shown = ()
    return Group(
        Text(one_line(finding.subject), "bold"),
        Text(printable(finding.message)),
        "",
        _pairs(*((word, text) for word, text in facts if text)),
        *(part for each in shown for part in _shown(each, run)),
    )


def _shown(each: Excerpt, run: RunFacts) -> Iterator[RenderableType]:
    label = one_line(each.label)
    place = source_line(each.at, run) or (element(each.at, "") if label else "")
    if place or label:
        yield ""
        yield Text.assemble((place, "cyan"), ": " if place and label else "", label)
    digits = len(str(each.lines[-1].number)) if each.lines else 0
    for line in each.lines:
        style = "bold" if line.mark == MEANT else "" if line.mark else "dim"
        text = f" {line.mark or ' '} {line.number:>{digits}} │ {line.text}"
        yield Text(text, style, no_wrap=True, overflow="ellipsis")
    for mark, meaning in each.legend.items():
        yield Padding(Text(f"{mark}: {one_line(meaning)}"), (0, 0, 0, 1))


def _end(run: RunFacts) -> RenderableType:
    shown = excerpts(run.error_at or Place(), (), run.root)
    lines = [part for each in shown for part in _shown(each, run)]
    return Group(Text(printable(run.error)), *lines) if run.error else Group(*lines[1:])


def _summary(report: Report) -> RenderableType:
    run = report.run
    passed = report.with_status(Status.PASSED)
    rows = [("observed", observed(report))]
    if warned := messages(run.seen):
        times = count(sum(each.count for each in warned), "time")
        rows.append(("warned", f"{times} in {count(len(warned), 'line')}: --format json has them"))
    if run.settings:
        rows.append(("settings", one_line(relative(run.settings, run.root))))
    if passed:
        codes = tuple(each.rule.code for each in passed)
        rows.append(("passed", f"{count(len(codes), 'rule')}: {_codes(codes)}"))
    found = tuple(dict.fromkeys(each.rule.code for each in report.findings))
    if found:
        rows.append(("found", f"{count(len(found), 'rule')}: {_codes(found)}"))
    for word, groups in (("skipped", skips(report)), ("crashed", crashes(report))):
        if groups:
            rows.append((word, count(sum(len(codes) for _, codes in groups), "rule")))
        rows += [(word, f"{_codes(codes)}: {reason}") for reason, codes in groups]
    for each in report.ignored:
        subject = one_line(each.finding.subject)
        rows.append(("ignored", f"{each.rule.code} {subject}: {one_line(each.ignored)}"))
    rows += [("note", one_line(note)) for note in run.notes]
    rows += [("our fault", one_line(last_line(fault))) for fault in run.faults]
    shown = [
        (word if at == 0 or rows[at - 1][0] != word else "", text)
        for at, (word, text) in enumerate(rows)
    ]
    return _pairs(*shown)


def _codes(codes: tuple[str, ...]) -> str:
    """List codes, those of a group together: "FRZ001-003 GRD001"."""
    groups: dict[str, list[int]] = {}
    for code in codes:
        groups.setdefault(code[:3], []).append(int(code[3:]))
    spans: list[str] = []
    for group, numbers in groups.items():
        runs: list[list[int]] = []
        for number in numbers:
            if runs and number == runs[-1][-1] + 1:
                runs[-1][1:] = [number]
            else:
                runs.append([number])
        spans += [group + "-".join(f"{end:03}" for end in each) for each in runs]
    return " ".join(spans)


def _pairs(*rows: tuple[str, str]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for word, text in rows:
        table.add_row(word, Text(text))
    return table
