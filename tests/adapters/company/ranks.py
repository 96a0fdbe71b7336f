"""Two forked processes over gloo, each of which watches itself as a rank of one run."""

import json
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # what is loaded here need not be loaded in each of the forked processes
from torch import distributed

from stepscope.adapters.how import settle
from stepscope.adapters.watched_run import WatchedRun
from stepscope.catalogue import every_rule
from stepscope.evidence.environment import Ending
from stepscope.reporters import reporter

RULES = every_rule()
Training = Callable[[int], None]


@dataclass(frozen=True)
class Ran:
    """What came of both."""

    home: Path
    report: Any  # in JSON, of the one that reported
    reported_by: tuple[int, ...]
    shown: tuple[str, ...]  # what each wrote to its standard error

    @property
    def found(self) -> dict[str, Any]:
        """The findings, by their codes."""
        return {each["rule"]: each for each in self.report["findings"]}

    @property
    def folder(self) -> Path:
        """The only run that was recorded."""
        (header,) = (self.home / ".stepscope").glob("*/run.json")
        return header.parent


def run_ranks(home: Path, training: Training, **how: Any) -> Ran:
    """Watch a training in two processes, and return what they said."""
    torch.multiprocessing.start_processes(
        one_rank, args=(str(home), training, how), nprocs=2, start_method="fork"
    )
    reports = {rank: home / f"report-{rank}.json" for rank in range(2)}
    by = tuple(rank for rank, path in reports.items() if path.exists())
    return Ran(
        home,
        json.loads(reports[by[0]].read_text()),
        by,
        tuple((home / f"err-{rank}").read_text() for rank in range(2)),
    )


def one_rank(rank: int, home: str, training: Training, how: dict[str, Any]) -> None:
    """Do what `stepscope run` does in each process that torchrun starts."""
    torch.set_num_threads(1)
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_PORT": "1"}
    os.dup2(os.open(f"{home}/err-{rank}", os.O_WRONLY | os.O_CREAT, 0o600), 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)  # pytest has put its own there
    settled = settle(folder=home, **how)
    run = WatchedRun(
        "train.py",
        terms=settled.terms,
        home=settled.home,
        plan=settled.plan,
        on_error=settled.on_error,
    )
    store = distributed.FileStore(f"{home}/store", 2)
    ending, error = Ending.FINISHED, ""
    try:
        with run.watched:
            distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
            training(rank)
            distributed.destroy_process_group()
    except KeyboardInterrupt:
        assert run.watched.stopped
    except Exception as raised:  # noqa: BLE001 - it belongs to the training
        ending, error = Ending.RAISED, repr(raised)
    report = run.conclude(ending, error=error)
    if report is not None:
        Path(home, f"report-{rank}.json").write_text(reporter("json")(report))
        run.reported()
    if error:
        os._exit(0)  # the other one may wait for ever
