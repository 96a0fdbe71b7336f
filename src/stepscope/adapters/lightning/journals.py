"""Findings in the loggers of a Trainer or of Fabric."""

import csv
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from lightning.fabric.loggers.csv_logs import CSVLogger
from lightning.fabric.loggers.logger import Logger
from lightning.fabric.loggers.tensorboard import TensorBoardLogger

from stepscope.adapters.journals import Journal, TensorBoardJournal
from stepscope.watching.verdicts import News

FINDINGS = "stepscope_findings.csv"  # beside the logger's own metrics.csv
COLUMNS = ("step", "code", "name", "severity", "subject", "message", "measured", "expected")


def journals_of(
    loggers: Iterable[Logger], step: Callable[[int], int]
) -> Iterator[tuple[object, Journal]]:
    """Return how to write into each logger; `step` makes one of the run one of the loggers'."""
    for logger in loggers:
        if isinstance(logger, TensorBoardLogger):
            yield logger.experiment, TensorBoardJournal(logger.experiment, step)
        elif isinstance(logger, CSVLogger):
            yield logger, TableJournal(Path(logger.log_dir), step)
        else:
            yield logger, MarkJournal(logger, step)


class TableJournal:
    """A table in the folder of a `CSVLogger`, whose own table has a column for each number."""

    def __init__(self, folder: Path, step: Callable[[int], int]) -> None:
        self._file = folder / FINDINGS
        self._step = step

    def write(self, news: News) -> None:
        """Add a line."""
        finding = news.finding
        self._file.parent.mkdir(parents=True, exist_ok=True)
        is_new = not self._file.exists()
        with self._file.open("a", encoding="utf-8", newline="") as file:
            table = csv.writer(file)
            if is_new:
                table.writerow(COLUMNS)
            table.writerow(
                (
                    self._step(news.step),
                    news.rule.code,
                    news.rule.name,
                    news.severity.value,
                    finding.subject,
                    finding.message,
                    finding.measured,
                    finding.expected,
                )
            )


class MarkJournal:
    """Any other logger takes numbers: a 1 under `stepscope/CODE`, at the step of the finding."""

    def __init__(self, logger: Logger, step: Callable[[int], int]) -> None:
        self._logger = logger
        self._step = step

    def write(self, news: News) -> None:
        """Leave the mark."""
        self._logger.log_metrics({f"stepscope/{news.rule.code}": 1.0}, step=self._step(news.step))
