"""Under torchrun every rank records, and the first reports for all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import torch, torch.distributed as dist
dist.init_process_group("gloo")
torch.manual_seed(0)
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 2))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for i in range(100):
    optimizer.zero_grad()
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
"""


@pytest.mark.corpus
def test_every_rank_records_and_the_first_reports(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [
            *launcher,
            "-m",
            "stepscope",
            "check",
            "--format",
            "json",
            "--output",
            "report.json",
            "train.py",
        ],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["run"]["steps"] == 3
    assert report["run"]["world_size"] == 2
    assert report["findings"] == [] or {f["severity"] for f in report["findings"]} == {"note"}
    assert not list((tmp_path / ".stepscope").glob("check-*"))
