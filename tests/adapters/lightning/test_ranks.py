"""Under Lightning's DDP the callbacks of all ranks watch one run, and the first reports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from stepscope.recordings.folder import latest
from stepscope.recordings.reader import read

pytestmark = pytest.mark.corpus

PROGRAM = """
import lightning, torch
from torch.utils.data import DataLoader, TensorDataset
from stepscope.adapters.lightning import WatchCallback
torch.set_num_threads(1)
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        layers = torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2)
        self.net = torch.nn.Sequential(*layers)
    def loss(self, batch):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
    def training_step(self, batch, _):
        return self.loss(batch)
    def validation_step(self, batch, _):
        self.log("val", self.loss(batch), sync_dist=True)
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
if __name__ == "__main__":
    lightning.seed_everything(0)
    data = TensorDataset(torch.randn(128, 4), torch.randint(0, 2, (128,)))
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    watch = WatchCallback()
    trainer = lightning.Trainer(
        accelerator="cpu", devices=2, strategy="ddp", max_epochs=3, callbacks=[watch], **quiet
    )
    trainer.fit(Module(), DataLoader(data, 8, shuffle=True), DataLoader(data, 8))
    if watch.report is not None:
        import json
        outcomes = {each.rule.code: each.status.value for each in watch.report.outcomes}
        told = {"ranks": watch.report.run.ranks, "outcomes": outcomes}
        open("report.json", "w").write(json.dumps(told))
    print("reported" if watch.report is not None else "left it", trainer.global_rank)
"""


def test_the_callbacks_of_all_ranks_watch_one_run(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "train.py"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(line for line in done.stdout.splitlines() if line[-2:] in (" 0", " 1")) == [
        "left it 1",
        "reported 0",
    ]
    told = json.loads((tmp_path / "report.json").read_text())
    assert told["ranks"] == [0, 1]
    failed = {code for code, status in told["outcomes"].items() if status == "failed"}
    assert failed <= {"NRM003"}  # batches of eight
    passed = {code for code, status in told["outcomes"].items() if status == "passed"}
    assert {"DST001", "DST002", "EVL002"} <= passed  # the first rank's buffers come with a forward
    assert [each.rank for each in read(latest(tmp_path).path).ranks] == [0, 1]
