"""Ranks that a program under `stepscope run` starts as programs of their own join its run."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from stepscope.recordings.folder import latest
from stepscope.recordings.reader import read

SOURCES = Path(__file__).parents[2] / "src"
MODEL = """
import os, subprocess, sys, torch, torch.distributed as dist
torch.set_num_threads(1)
def train(rank, steps, thawed=False, fails=-1):
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.BatchNorm1d(8), torch.nn.Linear(8, 2))
    net[0].requires_grad_(not thawed)
    model = torch.nn.parallel.DistributedDataParallel(net)
    net[0].requires_grad_(True)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.manual_seed(rank)
    for i in range(steps):
        optimizer.zero_grad()
        model(torch.randn(8, 4)).square().mean().backward()
        optimizer.step()
        if i == fails and rank == 1: raise ValueError("a bad sample")
    return {**net.state_dict(), "random": torch.get_rng_state()}
"""
# As Lightning's `ddp` does: the first rank starts the others, and tells them by LOCAL_RANK alone.
STARTS_THE_SECOND = """
rank = int(os.environ.get("LOCAL_RANK", 0))
if not rank:
    os.environ |= {"LOCAL_RANK": "0", "WORLD_SIZE": "2"}
    other = subprocess.Popen([sys.executable, *sys.argv], env={**os.environ, "LOCAL_RANK": "1"})
store = dist.FileStore("store", 2)
dist.init_process_group("gloo", store=store, rank=rank, world_size=2)
"""
RANK_OF_LAUNCHER = 'dist.init_process_group("gloo"); rank = dist.get_rank()\n'
LAUNCHER = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
JSON = ("-m", "stepscope", "run", "--format", "json", "--output", "report.json")
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path) -> Start:
    """Return a function that writes train.py and starts Python, which reads stepscope's .pth file.

    As from `site-packages`, whether or not this installation has it there.
    """
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(f"import site\nsite.addsitedir({str(SOURCES)!r})\n")

    def started(program: str, *words: str) -> subprocess.Popen[str]:
        (tmp_path / "train.py").write_text(MODEL + program)
        (tmp_path / "store").unlink(missing_ok=True)
        paths = [str(site), os.environ.get("PYTHONPATH", "")]
        return subprocess.Popen(
            [sys.executable, *words],
            cwd=tmp_path,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(filter(None, paths)),
                "OMP_NUM_THREADS": "1",
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    return started


def report(folder: Path) -> Any:
    return json.loads((folder / "report.json").read_text())


def ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    """Return its exit code, and what it wrote to its standard error."""
    _, said = process.communicate(timeout=180)
    return process.returncode, said


def ranks(folder: Path) -> list[int]:
    """Return those that the only run has recorded; nothing but its files is left of it."""
    (run,) = (each.parent for each in (folder / ".stepscope").glob("*/run.json"))
    assert not (run / "between-ranks").exists()
    return [each.rank for each in read(run).ranks]


@pytest.mark.corpus
def test_the_first_rank_reports_for_those_it_has_started_and_no_bit_changes(
    start: Start, tmp_path: Path
) -> None:
    program = f"{STARTS_THE_SECOND}torch.save(train(rank, 25), f'{{sys.argv[1]}}-{{rank}}.pt')\n"
    for command in (("train.py", "alone"), (*JSON, "train.py", "beside")):
        code, said = ended(start(program, *command))
        assert code == 0, said
    for rank in range(2):
        alone, beside = (torch.load(tmp_path / f"{name}-{rank}.pt") for name in ("alone", "beside"))
        assert alone.keys() == beside.keys()
        assert all(torch.equal(value, beside[name]) for name, value in alone.items())
    assert (report(tmp_path)["run"]["steps"], report(tmp_path)["run"]["ranks"]) == (25, [0, 1])
    assert {"DST001", "DST003"} <= set(report(tmp_path)["passed"])
    assert ranks(tmp_path) == [0, 1]


@pytest.mark.corpus
@pytest.mark.parametrize(
    ("begin", "launcher"), [(STARTS_THE_SECOND, ()), (RANK_OF_LAUNCHER, LAUNCHER)]
)
def test_what_all_ranks_have_is_said_once_and_stops_them_all(
    start: Start, tmp_path: Path, begin: str, launcher: tuple[str, ...]
) -> None:
    program = f"{begin}train(rank, 4000, thawed=True)\n"
    code, said = ended(start(program, *JSON, "--on-error", "stop", *launcher, "train.py"))
    assert code == 1
    assert said.count("error DST001 ranks-diverge") == 1
    assert said.count("Traceback") == len(launcher[:1])  # that is the launcher's own
    assert report(tmp_path)["run"]["steps"] < 4000
    assert "the run was stopped by a finding" in report(tmp_path)["notes"]
    (found,) = (each for each in report(tmp_path)["findings"] if each["rule"] == "DST001")
    assert found["ranks"] == [0, 1]


@pytest.mark.corpus
def test_under_a_launcher_the_rank_that_crashes_is_named(start: Start, tmp_path: Path) -> None:
    program = f"{RANK_OF_LAUNCHER}train(rank, 25, fails=9)\n"
    code, said = ended(start(program, *JSON, *LAUNCHER, "train.py"))
    assert code == 1
    assert "ChildFailedError" in said
    assert report(tmp_path)["run"]["program"].endswith("train.py")
    assert report(tmp_path)["run"]["error"] == "rank 1: ValueError: a bad sample"
    assert 1 in report(tmp_path)["run"]["ranks"]
    assert ranks(tmp_path) == [0, 1]


@pytest.mark.corpus
def test_of_ranks_whose_starter_is_killed_the_recordings_are_readable(
    start: Start, tmp_path: Path
) -> None:
    waits = "open(f'{rank}.there', 'w')\nwhile not os.path.exists('go'): pass\n"
    program = f"{RANK_OF_LAUNCHER}train(rank, 9)\n{waits}train(rank, 9)\n"
    process = start(program, *JSON, *LAUNCHER, "train.py")
    while not all((tmp_path / f"{rank}.there").exists() for rank in range(2)):
        assert process.poll() is None
        time.sleep(0.05)
    process.kill()
    (tmp_path / "go").touch()
    process.communicate(timeout=60)  # its ranks hold the pipes until they end
    recorded = read(latest(tmp_path).path)
    assert [(each.rank, each.ended and each.ended.step) for each in recorded.ranks] == [
        (0, 18),
        (1, 18),
    ]


@pytest.mark.corpus
def test_an_interrupt_ends_all_ranks_and_the_report_comes(start: Start, tmp_path: Path) -> None:
    program = (
        f"{RANK_OF_LAUNCHER}train(rank, 5); open(f'{{rank}}.there', 'w'); train(rank, 10**6)\n"
    )
    process = start(program, *JSON, *LAUNCHER, "train.py")
    while not all((tmp_path / f"{rank}.there").exists() for rank in range(2)):
        assert process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)
    code, said = ended(process)
    assert code == 1, said  # as of the launcher alone
    assert "SignalException" in said
    assert report(tmp_path)["run"]["steps"] >= 5
    assert report(tmp_path)["run"]["error"].endswith("KeyboardInterrupt")


HELPERS = """
if "STEPSCOPE" in os.environ and len(sys.argv) > 1:
    print([name for name in sys.modules if name.startswith("stepscope.adapters")])
model = torch.nn.Linear(4, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
for _ in range(5):
    optimizer.zero_grad(); model(torch.ones(3, 4)).square().sum().backward(); optimizer.step()
if len(sys.argv) == 1:
    given = os.environ.pop("STEPSCOPE")
    for more in ({}, {"STEPSCOPE": given}):
        subprocess.run([sys.executable, "train.py", "helps"], env={**os.environ, **more})
"""


@pytest.mark.corpus
def test_programs_that_are_no_ranks_are_left_alone(start: Start, tmp_path: Path) -> None:
    process = start(HELPERS, *JSON, "train.py")
    out, said = process.communicate(timeout=180)
    assert process.returncode == 0, said
    assert "[]" in out + said
    assert "stepscope." not in out + said
    assert report(tmp_path)["run"]["steps"] == 5
    assert ranks(tmp_path) == [0]


LIGHTNING = """
import lightning
from torch.utils.data import DataLoader, TensorDataset
class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Linear(8, 2))
    def training_step(self, batch, _):
        return torch.nn.functional.cross_entropy(self.net(batch[0]), batch[1])
    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)
lightning.seed_everything(0)
data = TensorDataset(torch.randn(128, 4), torch.randint(0, 2, (128,)))
quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
trainer = lightning.Trainer(
    accelerator="cpu", devices=2, strategy="ddp", max_epochs=2, enable_model_summary=False, **quiet
)
trainer.fit(Module(), DataLoader(data, 8, shuffle=True))
"""


@pytest.mark.corpus
@pytest.mark.parametrize("switch", [(*JSON,), ()], ids=["command", "variable"])
def test_lightning_starts_the_other_rank_itself(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, switch: tuple[str, ...]
) -> None:
    if not switch:
        monkeypatch.setenv("STEPSCOPE", "run")
        monkeypatch.setenv("STEPSCOPE_ARGS", "--format json --output report.json")
    code, said = ended(start(LIGHTNING, *switch, "train.py"))
    assert code == 0, said
    assert report(tmp_path)["run"]["ranks"] == [0, 1]
    assert report(tmp_path)["run"]["steps"] == 16
    assert {"DST001", "DST002"} <= set(report(tmp_path)["passed"])
    assert ranks(tmp_path) == [0, 1]
