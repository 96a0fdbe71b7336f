"""The report in Markdown, for a pull request or the summary of a job."""

import re

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup, escape

from stepscope.core import Status
from stepscope.core.verdict import Report, Reported, RunFacts
from stepscope.reporters.content.checkpoint import sections
from stepscope.reporters.content.excerpt import Excerpt, excerpts
from stepscope.reporters.content.places import element, moment, relative, source_line
from stepscope.reporters.content.printable import one_line
from stepscope.reporters.content.summary import crashes, last_line, observed, skips, verdict

TEMPLATE = """\
## stepscope: {{ verdict | words }}

{{ observed | words }}{% if settings %}, settings from {{ settings | code }}{% endif %}

{% for section in sections %}

### {{ section.title | words }}

| {{ (section.columns or ("", "")) | map("words") | join(" | ") }} |
|{% for column in section.columns or ("", "") %}
{{- "---:|" if loop.index0 in section.right else "---|" }}{% endfor %}

{% for row in section.rows %}
| {{ row | map("words") | join(" | ") }} |
{% endfor %}
{% endfor %}

{% for each in findings %}

### {{ each.severity.value }} {{ each.rule.code }} {{ each.rule.name }}

**{{ each.finding.subject | words }}** {{ each.finding.message | words }}

| | |
|---|---|
| measured | {{ each.finding.measured | words }} |
| expected | {{ each.finding.expected | words }} |
{% if element(each) %}| where | {{ element(each) | words }} |
{% endif %}
{% if moment(each) %}| seen | {{ moment(each) | words }} |
{% endif %}
{% for shown in excerpts(each) %}
{% if shown.at.file or shown.label %}

{{ place(shown) | code }}{% if shown.label %}: {{ shown.label | words }}{% endif %}


{{ shown | block }}
{% for mark, meaning in shown.legend.items() %}

{{ mark }}: {{ meaning | words }}
{% endfor %}
{% endif %}
{% endfor %}
{% endfor %}
{% if run.error or error_at %}

### The program's end

{{ run.error | code }}{% if error_at %} at {{ error_at | code }}{% endif %}

{% endif %}

### Judged

| rules | |
|---|---|
{% if passed %}| {{ passed | join(" ") }} | passed |
{% endif %}
{% for reason, codes in skips %}| {{ codes | join(" ") }} | skipped: {{ reason | words }} |
{% endfor %}
{% for reason, codes in crashes %}| {{ codes | join(" ") }} | crashed: {{ reason | words }} |
{% endfor %}
{% for each in ignored %}
| {{ each.rule.code }} | ignored: {{ each.finding.subject | words }}: {{ each.ignored | words }} |
{% endfor %}
{% for note in run.notes %}

Note: {{ note | words }}
{% endfor %}
{% for fault in faults %}

A fault of stepscope: {{ fault | words }}
{% endfor %}
"""

_MEANING = re.compile(r"([\\`*_\[\]#!|~$])")
_AT_START = re.compile(r"^(\d*)([-+=.)])(?=[\s=-]|$)")  # a list, a heading


def render(report: Report) -> str:
    """Write findings with their source lines, then what was judged and what was not."""
    run = report.run
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"words": _words, "code": _code, "block": _block}
    text = environment.from_string(TEMPLATE).render(
        run=run,
        settings=relative(run.settings, run.root) if run.settings else "",
        sections=sections(run.seen),
        verdict=verdict(report),
        observed=observed(report),
        findings=report.findings,
        ignored=report.ignored,
        passed=[each.rule.code for each in report.with_status(Status.PASSED)],
        skips=skips(report),
        crashes=crashes(report),
        faults=[last_line(fault) for fault in run.faults],
        error_at=source_line(run.error_at, run) if run.error_at else "",
        element=lambda each: element(each.finding.at, each.finding.subject),
        moment=moment,
        place=lambda shown: source_line(shown.at, run) or element(shown.at, ""),
        excerpts=lambda each: _excerpts(each, run),
    )
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"


def _excerpts(reported: Reported, run: RunFacts) -> tuple[Excerpt, ...]:
    return excerpts(reported.finding.at, reported.finding.related, run.root)


def _words(text: str) -> Markup:
    """Prose on one line that means nothing to Markdown or HTML, and mentions nobody."""
    plain = _AT_START.sub(r"\1\\\2", _MEANING.sub(r"\\\1", one_line(text)))
    return Markup(str(escape(plain)).replace("@", "@&#8203;"))  # noqa: S704 - escaped here


def _code(text: str) -> Markup:
    """Return it as inline code, with a longer fence than any run of backticks in it."""
    text = one_line(text)
    fence = "`" * (_longest_run(text) + 1)
    space = " " if text.startswith("`") or text.endswith("`") else ""
    return Markup(f"{fence}{space}{text}{space}{fence}") if text else Markup()  # noqa: S704


def _block(shown: Excerpt) -> Markup:
    """Return the lines as a fenced block."""
    if not shown.lines:
        return Markup()
    digits = len(str(shown.lines[-1].number))
    lines = [f"{line.mark or ' '} {line.number:>{digits}} | {line.text}" for line in shown.lines]
    text = "\n".join(line.rstrip() for line in lines)
    fence = "`" * max(3, _longest_run(text) + 1)
    return Markup(f"{fence}text\n{text}\n{fence}")  # noqa: S704 - a fence ends only at its like


def _longest_run(text: str) -> int:
    return max((len(run) for run in re.findall("`+", text)), default=0)
