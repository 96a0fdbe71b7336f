"""Findings in the loggers that the program itself has set up."""

import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

from stepscope.adapters.own_words import say
from stepscope.core import Finding, Severity
from stepscope.reporters.content.printable import one_line
from stepscope.watching.verdicts import News

MOST = 4_000  # characters of one text; MLflow takes 5,000 in its oldest releases


class Journal(Protocol):
    """One of them."""

    def write(self, news: News) -> None:
        """Write a finding down. What it raises costs the finding, and nothing else."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a journal may need to know of the run beside the one finding."""

    news: Sequence[News]  # all so far
    step: Callable[[int], int]  # makes a step of the run one of the whole training


# What there is to write to: pairs of a logger, by which a journal is known, and the journal. Only
# loggers that the program has begun to use: none is opened, and no run started, for a finding.
FindJournals: TypeAlias = Callable[[Told], Iterable[tuple[object, Journal]]]


def no_journals(_: Told) -> Iterable[tuple[object, Journal]]:
    """Return none."""
    return ()


class Journals:
    """Writes each finding into each journal once, also into one that turns up later.

    `found` tells which there are; it is asked when there is something to write, and at the end.
    """

    def __init__(self, found: FindJournals, step: Callable[[int], int]) -> None:
        """`step` makes a step of the run one of the whole training."""
        self._found = found
        self._news: list[News] = []
        self._told = Told(self._news, step)
        self._written: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._has_failed = False

    def tell(self, news: News) -> None:
        """Take a finding."""
        self._news.append(news)
        self.catch_up()

    def catch_up(self) -> None:
        """Write what is not written yet."""
        try:
            for logger, journal in self._found(self._told):
                begin = self._written.get(logger, 0)
                self._written[logger] = len(self._news)
                self._write(journal, self._news[begin:])
        except Exception as why:  # noqa: BLE001 - a program's loggers may do anything
            self._failed(why)

    def _write(self, journal: Journal, news: Iterable[News]) -> None:
        try:
            for each in news:
                journal.write(each)
        except Exception as why:  # noqa: BLE001 - a logger that fails must not stop training
            self._failed(why)

    def _failed(self, why: Exception) -> None:
        if not self._has_failed:
            say(f"a finding could not be written to the program's logger: {why!r}")
        self._has_failed = True


class TensorBoardJournal:
    """Text summaries of a `SummaryWriter`, under `stepscope/CODE`."""

    def __init__(self, writer: Any, told: Told) -> None:
        self._writer = writer
        self._told = told

    def write(self, news: News) -> None:
        """Write Markdown, which TensorBoard shows."""
        text = told_in_markdown(news.finding, news.severity)
        was_closed = self._writer.all_writers is None  # it opens another file in its folder then
        self._writer.add_text(f"stepscope/{news.rule.code}", text, self._told.step(news.step))
        if was_closed:
            self._writer.close()
        else:
            self._writer.flush()


class TextJournal:
    """One text for each rule, under `stepscope/CODE`: for a logger that keeps texts by name.

    What a rule finds later is added to its text. No step of the logger is taken or passed over.
    """

    def __init__(self, put: Callable[[str, str], object], told: Told) -> None:
        """`put` sets the text of a name."""
        self._put = put
        self._told = told

    def write(self, news: News) -> None:
        """Write all that the rule has found."""
        alike = [each for each in self._told.news if each.rule.code == news.rule.code]
        lines = [told_in_a_line(each, self._told.step(each.step)) for each in alike]
        while len(lines) > 1 and sum(map(len, lines)) > MOST:
            lines.pop()
        if len(lines) < len(alike):
            lines.append(f"and {len(alike) - len(lines)} more")
        self._put(f"stepscope/{news.rule.code}", "\n".join(lines))


def told_in_markdown(finding: Finding, weight: Severity) -> str:
    """Say what was found, in a few lines of Markdown."""
    at = f"`{finding.at.file}:{finding.at.line}`" if finding.at.line else ""
    lines = [
        f"**{weight.value}** {one_line(finding.subject)} {one_line(finding.message)}",
        f"measured: {one_line(finding.measured)}",
        f"expected: {one_line(finding.expected)}",
        *([f"at {at}"] if at else []),
    ]
    return "\n\n".join(lines)


def told_in_a_line(news: News, step: int) -> str:
    """Say what was found, and at which step, in one line."""
    finding = news.finding
    what = f"{one_line(finding.subject)} {one_line(finding.message)}"
    parts = [
        f"step {step}: {news.severity.value} {news.rule.name}: {what}",
        f"measured: {one_line(finding.measured)}",
        f"expected: {one_line(finding.expected)}",
        *([f"at {finding.at.file}:{finding.at.line}"] if finding.at.line else []),
    ]
    return " | ".join(parts)[:MOST]
