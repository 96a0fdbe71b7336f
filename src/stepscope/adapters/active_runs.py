"""The loggers that a program has under way, whoever set them up.

Weights & Biases and MLflow keep one run for all of a process: whoever started it, the program,
Transformers, Accelerate or MMEngine, it is found here. Neither is imported for it, and nothing is
started.
"""

import functools
import sys
from collections.abc import Iterator
from typing import Any

from stepscope.adapters.journals import Journal, TensorBoardJournal, TextJournal, Told
from stepscope.watching.watched import Watched


def under_way(watched: Watched, told: Told) -> Iterator[tuple[object, Journal]]:
    """Return how to write to all that can be found without knowing of any."""
    for writer in watched.writers:
        yield writer, TensorBoardJournal(writer, told)
    yield from active_runs(told)


def active_runs(told: Told) -> Iterator[tuple[object, Journal]]:
    """Return how to write into the runs that are active now."""
    wandb, mlflow = sys.modules.get("wandb"), sys.modules.get("mlflow")
    if wandb is not None and (run := getattr(wandb, "run", None)) is not None:
        yield run, wandb_journal(run, told)
    active_run = getattr(mlflow, "active_run", None)  # there once all of mlflow is imported
    if mlflow is not None and active_run is not None and (run := active_run()) is not None:
        yield run, mlflow_journal(mlflow.MlflowClient(), run.info.run_id, told)


def wandb_journal(run: Any, told: Told) -> TextJournal:
    """Write into the summary: what is logged takes a step of the run, or joins the open one."""
    return TextJournal(run.summary.__setitem__, told)


def mlflow_journal(client: Any, run_id: str, told: Told) -> TextJournal:
    """Write tags of a run."""
    return TextJournal(functools.partial(client.set_tag, run_id), told)
