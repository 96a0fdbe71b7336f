"""Findings in the loggers that the program itself has set up."""

import weakref
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias

from stepscope.adapters.own_words import say
from stepscope.core import Finding, Severity
from stepscope.reporters.content.printable import one_line
from stepscope.watching.verdicts import News


class Journal(Protocol):
    """One of them."""

    def write(self, news: News) -> None:
        """Write a finding down. What it raises costs the finding, and nothing else."""


# What there is to write to: pairs of a logger, by which a journal is known, and the journal. The
# argument makes a step of the run one of the logger's.
FindJournals: TypeAlias = Callable[[Callable[[int], int]], Iterable[tuple[object, Journal]]]


def no_journals(_: Callable[[int], int]) -> Iterable[tuple[object, Journal]]:
    """Return none."""
    return ()


class Journals:
    """Writes each finding into each journal once, also into one that turns up later.

    `found` tells which there are; it is asked when there is something to write, and at the end.
    """

    def __init__(self, found: Callable[[], Iterable[tuple[object, Journal]]]) -> None:
        """`found` gives pairs of a logger, by which a journal is known, and how to write there."""
        self._found = found
        self._news: list[News] = []
        self._written: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()
        self._has_failed = False

    def tell(self, news: News) -> None:
        """Take a finding."""
        self._news.append(news)
        self.catch_up()

    def catch_up(self) -> None:
        """Write what is not written yet."""
        try:
            for logger, journal in self._found():
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
    """Text summaries of a `SummaryWriter`, under `stepscope/CODE`.

    `step` makes a step of the run one of the writer's.
    """

    def __init__(self, writer: Any, step: Callable[[int], int]) -> None:
        self._writer = writer
        self._step = step

    def write(self, news: News) -> None:
        """Write Markdown, which TensorBoard shows."""
        text = told_in_markdown(news.finding, news.severity)
        self._writer.add_text(f"stepscope/{news.rule.code}", text, self._step(news.step))
        self._writer.flush()


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
