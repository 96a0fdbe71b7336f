"""Under torchrun the whole run is watched on every rank, and the first reports for all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.corpus

PROGRAM = """
import sys, torch, torch.distributed as dist
torch.set_num_threads(1)
dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
net[0].requires_grad_(sys.argv[1] == "trained")
model = torch.nn.parallel.DistributedDataParallel(net)
net[0].requires_grad_(True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
torch.manual_seed(rank)
for _ in range(30):
    optimizer.zero_grad()
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
torch.save({**net.state_dict(), "random": torch.get_rng_state()}, f"{sys.argv[2]}-{rank}.pt")
dist.destroy_process_group()
"""
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
WATCHED = ("-m", "stepscope", "run", "--format", "json", "--output", "report.json")


def launch(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    (folder / "train.py").write_text(PROGRAM)
    return subprocess.run(
        [sys.executable, *LAUNCHER, *command],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_watching_changes_no_bit_on_any_rank(tmp_path: Path) -> None:
    for command in (("train.py", "trained", "alone"), (*WATCHED, "train.py", "trained", "beside")):
        done = launch(tmp_path, *command)
        assert done.returncode == 0, done.stderr
    for rank in range(2):
        alone, beside = (torch.load(tmp_path / f"{name}-{rank}.pt") for name in ("alone", "beside"))
        assert alone.keys() == beside.keys()
        assert all(torch.equal(value, beside[name]) for name, value in alone.items())
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["run"]["steps"], report["run"]["ranks"]) == (30, [0, 1])
    assert {"DST001"} <= set(report["passed"])


def test_what_diverges_ends_with_the_documented_code_and_names_the_ranks(tmp_path: Path) -> None:
    done = launch(tmp_path, *WATCHED, "train.py", "thawed", "beside")
    assert done.returncode == 1, done.stderr
    assert done.stderr.count("error DST001 ranks-diverge") == 1
    report = json.loads((tmp_path / "report.json").read_text())
    (finding,) = [each for each in report["findings"] if each["rule"] == "DST001"]
    assert finding["ranks"] == [0, 1]
    assert finding["measured"].startswith("after 1 optimizer step: 0.weight")
    (run,) = (tmp_path / ".stepscope").glob("*/run.json")
    assert {each.name for each in run.parent.glob("rank-*")} == {"rank-0", "rank-1"}
