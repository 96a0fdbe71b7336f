"""A finding that has just become true, for a terminal in which a program is at work."""

from stepscope.core import Finding, Rule
from stepscope.reporters.content.places import relative
from stepscope.reporters.content.printable import one_line


def render_news(
    rule: Rule, finding: Finding, *, step: int, root: str, rank: int | None = None
) -> str:
    """Say in a few lines what was found, at which step of the run, on which rank, and where."""
    weight = (finding.severity or rule.severity).value
    at = f"{relative(finding.at.file, root)}:{finding.at.line}" if finding.at.line else ""
    moment = f"step {step}" if rank is None else f"rank {rank}, step {step}"
    lines = [
        f"stepscope: {moment}: {weight} {rule.code} {rule.name}",
        f"  {one_line(finding.subject)} {one_line(finding.message)}",
        f"  measured  {one_line(finding.measured)}",
        f"  expected  {one_line(finding.expected)}",
        *([f"  at        {at}"] if at else []),
        f"  why, and what to do: stepscope rule {rule.code}",
    ]
    return "\n".join(lines)
