"""The sentences that sum a report up, the same in every format."""

from collections import Counter
from collections.abc import Iterable

from stepscope.core import Severity, Status
from stepscope.core.joining import say_ranks
from stepscope.core.verdict import Report, Verdict
from stepscope.reporters.content.printable import one_line


def count(number: int, noun: str) -> str:
    """Say a number of things: "1 rule", "3 rules"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def tally(report: Report) -> str:
    """Say how many findings of each weight there are; "nothing found" where there are none."""
    numbers = Counter(each.severity for each in report.findings)
    words = [count(numbers[each], each.value) for each in Severity if numbers[each]]
    return ", ".join(words) or "nothing found"


def verdict(report: Report) -> str:
    """Say in one sentence what the run amounts to."""
    if report.verdict is Verdict.FINDINGS:
        obstacle = f"; {report.obstacle}" if report.obstacle else ""
        return f"The {report.run.subject} is at fault: {tally(report)}{obstacle}."
    if report.verdict is Verdict.NOT_JUDGED:
        found = f" ({tally(report)})" if report.findings else ""
        return f"Could not judge: {report.obstacle}{found}."
    found = f" ({tally(report)})" if report.findings else ""
    asked = len(report.outcomes)
    judged = asked - len(report.with_status(Status.SKIPPED) + report.with_status(Status.CRASHED))
    return f"Nothing at fault: {judged} of {count(asked, 'rule')} judged{found}."


def observed(report: Report) -> str:
    """Say what was looked at: "3 optimizer steps of train.py in 4.2 s"."""
    run = report.run
    steps = count(run.steps, run.unit)
    if run.steps < run.asked:
        steps = f"{run.steps} of {count(run.asked, run.unit)}"
    processes = f" on {say_ranks(run.ranks)}" if len(run.ranks) > 1 else ""
    return f"{steps} of {one_line(run.program)}{processes} in {run.wall_s:.1f} s"


def skips(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    """Group the rules that could not judge by reason, the most frequent reason first."""
    return _grouped((each.reason, each.rule.code) for each in report.with_status(Status.SKIPPED))


def crashes(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    """Group the rules that failed themselves by the last line of their traceback."""
    return _grouped(
        (last_line(each.reason), each.rule.code) for each in report.with_status(Status.CRASHED)
    )


def last_line(traceback: str) -> str:
    """Return what a traceback ends with: the exception."""
    lines = traceback.strip().splitlines()
    return lines[-1] if lines else ""


def _grouped(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, tuple[str, ...]]]:
    groups: dict[str, list[str]] = {}
    for reason, code in pairs:
        groups.setdefault(one_line(reason), []).append(code)
    by_size = sorted(groups.items(), key=lambda group: -len(group[1]))
    return [(reason, tuple(codes)) for reason, codes in by_size]
