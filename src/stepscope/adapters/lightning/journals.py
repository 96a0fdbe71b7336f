"""Findings in the loggers of a Trainer or of Fabric."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning.fabric.loggers.csv_logs import CSVLogger
from lightning.fabric.loggers.logger import Logger
from lightning.fabric.loggers.tensorboard import TensorBoardLogger

from stepscope.adapters.active_runs import mlflow_journal, wandb_journal
from stepscope.adapters.journals import Journal, TensorBoardJournal, Told
from stepscope.watching.verdicts import News

FINDINGS = "stepscope_findings.csv"  # beside the logger's own metrics.csv
COLUMNS = ("step", "code", "name", "severity", "subject", "message", "measured", "expected")


def journals_of(
    loggers: Iterable[Logger], told: Told, *, at: int | None = None
) -> Iterator[tuple[object, Journal]]:
    """Return how to write into each logger that is in use.

    `at` is the step that Lightning logs at now, where it does. A logger opens what it writes to
    when it is asked for its `experiment`, which is not ours to do.
    """
    for each in loggers:
        logger: Any = each
        classes = {kind.__name__ for kind in type(logger).__mro__}  # W&B has one of its own, too
        if isinstance(logger, TensorBoardLogger):
            if (writer := logger._experiment) is not None:
                yield writer, TensorBoardJournal(writer, told)
        elif isinstance(logger, CSVLogger):
            if logger._experiment is not None:
                yield logger, TableJournal(Path(logger.log_dir), told)
        elif "WandbLogger" in classes:
            if (run := logger._experiment) is not None:
                yield run, wandb_journal(run, told)
        elif "MLFlowLogger" in classes:
            if logger._initialized:
                yield logger, mlflow_journal(logger._mlflow_client, logger._run_id, told)
        else:
            yield logger, MarkJournal(logger, told, at)


class TableJournal:
    """A table in the folder of a `CSVLogger`, whose own table has a column for each number."""

    def __init__(self, folder: Path, told: Told) -> None:
        self._file = folder / FINDINGS
        self._told = told

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
                    self._told.step(news.step),
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
    """Any other logger takes numbers: a 1 under `stepscope/CODE`.

    At the step that the logger has come to, where it is known: some drop what comes before their
    last step, and all that comes before one of ours that lies ahead.
    """

    def __init__(self, logger: Logger, told: Told, at: int | None) -> None:
        self._logger = logger
        self._told = told
        self._at = at

    def write(self, news: News) -> None:
        """Leave the mark."""
        step = self._told.step(news.step) if self._at is None else self._at
        self._logger.log_metrics({f"stepscope/{news.rule.code}": 1.0}, step=step)
