"""Processes that a watched program starts are ranks of its run."""

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo  # what is loaded here need not be loaded in each of the forked processes
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from stepscope.adapters.how import settle
from stepscope.adapters.watched_children import ChildPlan, WatchedChildren
from stepscope.adapters.watched_run import WatchedRun
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending

PROGRAM = """
import sys, torch, torch.distributed as dist
def work(rank, folder):
    torch.set_num_threads(1)
    store = dist.FileStore(folder + "/store", 2)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.manual_seed(0)
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(rank)
    for _ in range(25):
        optimizer.zero_grad()
        model.module(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
    dist.destroy_process_group()
if __name__ == "__main__":
    torch.multiprocessing.spawn(work, args=(sys.argv[1],), nprocs=2)
"""


def work(rank: int, folder: str, fails: bool) -> None:  # noqa: FBT001 - spawn hands over positions
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=2)
    torch.manual_seed(0)
    wrapper = DistributedDataParallel(nn.Linear(4, 2))
    optimizer = torch.optim.SGD(wrapper.parameters(), lr=0.1)
    torch.manual_seed(rank)
    for step in range(6):
        optimizer.zero_grad()
        wrapper(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        if fails and rank == 1 and step == 3:
            raise ValueError("a bad sample")
    distributed.destroy_process_group()


def reported(home: Path, *, fails: bool = False, steps: int = 0) -> Report:
    """Watch a program that starts two processes, and takes some steps itself before."""
    settled = settle(folder=home)
    how = ChildPlan(program="train.py", terms=settled.terms, plan=settled.plan, on_error="report")
    children = WatchedChildren(how)
    run = WatchedRun(
        "train.py", terms=settled.terms, home=home, plan=settled.plan, children=children
    )
    ending, error = Ending.FINISHED, ""
    try:
        with run.watched:
            model = nn.Linear(2, 1)
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            for _ in range(steps):
                model(torch.ones(1, 2)).sum().backward()
                optimizer.step()
            torch.multiprocessing.start_processes(
                work, args=(str(home), fails), nprocs=2, start_method="fork"
            )
    except torch.multiprocessing.ProcessRaisedException as raised:
        ending, error = Ending.RAISED, str(raised)
    report = run.conclude(ending, error=error)
    run.reported()
    assert report is not None
    return report


def test_how_to_watch_can_be_handed_to_another_process(tmp_path: Path) -> None:
    settled = settle(folder=tmp_path, ignore={"DST001": "replicas are averaged by hand"})
    again = pickle.loads(pickle.dumps(settled))  # noqa: S301 - our own
    assert again.terms.selection.rules == settled.terms.selection.rules
    assert again == settled


def test_each_child_is_a_rank(tmp_path: Path) -> None:
    report = reported(tmp_path)
    assert (report.run.ranks, report.run.steps) == ((0, 1), 6)
    assert report.run.faults == ()
    (folder,) = (tmp_path / ".stepscope").glob("*/rank-1")
    assert list(folder.glob("lines-*.jsonl"))
    passed = {each.rule.code for each in report.outcomes if each.status.value == "passed"}
    assert {"DST001", "DST005"} <= passed


def test_of_a_child_that_fails_the_error_and_the_rank_are_said(tmp_path: Path) -> None:
    report = reported(tmp_path, fails=True)
    assert report.run.error == "rank 1: ValueError: a bad sample"  # not what it does to rank 0
    is_missing = any("rank 0 did not come to its end" in note for note in report.run.notes)
    assert is_missing is (report.run.ranks == (1,))  # it may be ended before it has said so


def test_steps_of_the_process_that_starts_the_others_are_left_out(tmp_path: Path) -> None:
    report = reported(tmp_path, steps=2)
    assert report.run.steps == 6
    assert any("not judged: 2 steps" in note for note in report.run.notes)


@pytest.mark.corpus
def test_spawned_processes_are_named_in_the_report(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    command = ("-m", "stepscope", "run", "--format", "json", "--output", "report.json", "train.py")
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    report: Any = json.loads((tmp_path / "report.json").read_text())
    found = {each["rule"]: each["ranks"] for each in report["findings"]}
    assert found["DST001"] == found["DST005"] == [0, 1]
    assert done.stderr.count("DST005 module-called-around-wrapper") == 1
