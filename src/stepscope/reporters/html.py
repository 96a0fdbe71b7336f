"""The report as one HTML file that needs nothing else: no script, no request, no second file."""

from jinja2 import Environment, PackageLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup

from stepscope.core import Rule, Status
from stepscope.core.verdict import Report, Reported, RunFacts
from stepscope.reporters.content.checkpoint import Section, sections
from stepscope.reporters.content.circumstances import described
from stepscope.reporters.content.excerpt import Excerpt, excerpts
from stepscope.reporters.content.places import element, moment, relative, source_line
from stepscope.reporters.content.printable import one_line, printable
from stepscope.reporters.content.summary import crashes, last_line, observed, skips, verdict
from stepscope.version import __version__

ELEMENTS = "elements"  # the column that the bars of a table show


def render(report: Report) -> str:
    """Write the verdict, a card for each finding, what was seen, and what was judged."""
    run = report.run
    environment = Environment(
        loader=PackageLoader("stepscope.reporters"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"line": one_line, "safe_text": printable}
    return (
        environment.get_template("report.html").render(
            run=run,
            kind=report.verdict.value,
            settings=relative(run.settings, run.root) if run.settings else "",
            verdict=verdict(report),
            observed=observed(report),
            findings=report.findings,
            ignored=report.ignored,
            sections=(*sections(run.seen), *described(run.seen)),
            passed=[each.rule.code for each in report.with_status(Status.PASSED)],
            skips=skips(report),
            crashes=crashes(report),
            faults=[last_line(fault) for fault in run.faults],
            error_at=source_line(run.error_at, run) if run.error_at else "",
            element=lambda each: element(each.finding.at, each.finding.subject),
            moment=moment,
            place=lambda shown: source_line(shown.at, run) or element(shown.at, ""),
            excerpts=lambda each: _excerpts(each, run),
            page=_page,
            share=_share,
            version=__version__,
        )
        + "\n"
    )


def _excerpts(reported: Reported, run: RunFacts) -> tuple[Excerpt, ...]:
    return excerpts(reported.finding.at, reported.finding.related, run.root)


def _page(rule: Rule) -> Markup:
    """Return the rule's page without its first line, which the finding says in its own words."""
    prose = rule.page.partition("\n")[2]
    return Markup(MarkdownIt("commonmark", {"html": False}).render(prose))  # noqa: S704 - our own


def _share(section: Section, row: tuple[str, ...]) -> float:
    """Return the row's share of the elements of its table; 0 where it counts none."""
    if ELEMENTS not in section.columns:
        return 0.0
    column = section.columns.index(ELEMENTS)
    numbers = [int(each[column].replace(",", "")) for each in section.rows]
    whole = sum(numbers)
    return int(row[column].replace(",", "")) / whole if whole else 0.0
