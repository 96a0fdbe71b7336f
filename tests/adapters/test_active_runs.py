"""Findings in the active run of the real Weights & Biases, without a network, and of MLflow."""

import os
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import stepscope
from stepscope.adapters.active_runs import active_runs
from stepscope.adapters.journals import Told
from tests.adapters.looping import Network, optimizer_of, steps
from tests.adapters.tracking import logged_below, tags_below, tracked

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
wandb = pytest.importorskip("wandb")
mlflow = pytest.importorskip("mlflow")
STEPS = 6


def by_itself(run: Any, step: int, loss: float) -> None:
    run.log({"loss": loss})
    run.log({"twice": loss})


def by_the_steps_of_the_loop(run: Any, step: int, loss: float) -> None:
    run.log({"loss": loss}, step=10 * step)


def by_halves(run: Any, step: int, loss: float) -> None:
    run.log({"loss": loss}, commit=False)
    run.log({"half": loss})


def train(log: Callable[[int, float], None], folder: Path | None) -> None:
    """Train with a backbone whose learning rate is 0; watched, where there is a folder for it."""
    model = Network()
    optimizer = optimizer_of(model, rate=0.0)
    losses = steps(model, optimizer, STEPS)
    if folder is None:
        for step, loss in enumerate(losses):
            log(step, loss)
        return
    with stepscope.watch(model, optimizer, folder=folder) as run:
        for step, loss in enumerate(losses):
            log(step, loss)
    assert run.report is not None
    assert [each.rule.code for each in run.report.at_fault] == ["FRZ001"]
    assert not run.report.run.faults


def with_wandb(folder: Path, log: Callable[[Any, int, float], None], *, watched: bool) -> None:
    with tracked(folder), wandb.init(project="test") as run:
        train(lambda step, loss: log(run, step, loss), folder if watched else None)


@pytest.mark.parametrize("log", [by_itself, by_the_steps_of_the_loop, by_halves])
def test_the_history_of_a_run_is_what_it_is_unwatched_and_its_summary_has_the_finding(
    tmp_path: Path, log: Callable[[Any, int, float], None]
) -> None:
    with_wandb(tmp_path / "alone", log, watched=False)
    with_wandb(tmp_path / "beside", log, watched=True)
    alone, beside = logged_below(tmp_path / "alone"), logged_below(tmp_path / "beside")
    assert len(alone.rows) == STEPS * (2 if log is by_itself else 1)
    assert alone.rows == beside.rows
    assert not alone.texts
    (text,) = [text for name, text in beside.texts.items() if name == "stepscope/FRZ001"]
    assert text.startswith("step ")
    assert ": error frozen-by-zero-lr: backbone" in text


def test_the_active_run_of_mlflow_is_given_a_tag(tmp_path: Path) -> None:
    with tracked(tmp_path), mlflow.start_run() as run:
        train(lambda step, loss: mlflow.log_metric("loss", loss, step=step), tmp_path)
        points = mlflow.MlflowClient().get_metric_history(run.info.run_id, "loss")
    assert [each.step for each in points] == list(range(STEPS))
    tags = tags_below(tmp_path)
    assert ": error frozen-by-zero-lr: backbone" in tags["stepscope/FRZ001"]


def test_no_run_is_begun_where_the_program_has_none(tmp_path: Path) -> None:
    with tracked(tmp_path):
        train(lambda *_: None, tmp_path / "watched")
        assert wandb.run is None
        assert mlflow.active_run() is None
        assert not (tmp_path / "mlruns").exists()
        assert not list(tmp_path.rglob("*.wandb"))


def test_a_run_that_begins_after_the_finding_gets_it(tmp_path: Path) -> None:
    def late(step: int, loss: float) -> None:
        if step == STEPS - 1:
            mlflow.start_run()

    with tracked(tmp_path):
        train(late, tmp_path)
    assert "stepscope/FRZ001" in tags_below(tmp_path)


def test_a_disabled_run_takes_it_and_a_deleted_one_costs_a_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    def lose(step: int, loss: float) -> None:
        if not step:
            mlflow.delete_run(mlflow.active_run().info.run_id)

    with tracked(tmp_path), wandb.init(mode="disabled"), mlflow.start_run() as run:
        train(lose, tmp_path)
        mlflow.MlflowClient().restore_run(run.info.run_id)
    said = capfd.readouterr().err
    assert said.count("could not be written to the program's logger") == 1


def test_to_write_leaves_the_random_states_alone(tmp_path: Path) -> None:
    with tracked(tmp_path), wandb.init(), mlflow.start_run():
        told = Told([], int)
        before = random.getstate(), torch.get_rng_state()
        for _, journal in active_runs(told):
            journal._put("stepscope/TST001", "text")  # type: ignore[attr-defined]  # a TextJournal
        assert random.getstate() == before[0]
        assert torch.equal(torch.get_rng_state(), before[1])


def test_neither_library_is_imported_for_it() -> None:
    program = """
import sys
from stepscope.adapters.active_runs import active_runs
from stepscope.adapters.journals import Told
assert not list(active_runs(Told([], int)))
assert "wandb" not in sys.modules and "mlflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


SCRIPT = """\
import mlflow
from torch.utils.tensorboard import SummaryWriter
from tests.adapters.looping import Network, optimizer_of, steps

model = Network()
writer = SummaryWriter("events")
with mlflow.start_run():
    for step, loss in enumerate(steps(model, optimizer_of(model, rate=0.0), 6)):
        mlflow.log_metric("loss", loss)
        writer.add_scalar("loss", loss, step)
"""


def test_under_stepscope_run_they_have_the_findings_too(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    command = [sys.executable, "-m", "stepscope", "run", "train.py"]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    with tracked(tmp_path):
        done = subprocess.run(
            command,
            cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": root},
            capture_output=True,
            text=True,
            check=False,
        )
        tags = tags_below(tmp_path)
    assert (done.returncode, "FRZ001" in done.stderr) == (1, True)
    assert "stepscope/FRZ001" in tags
    events = EventAccumulator(str(tmp_path / "events")).Reload()
    assert "stepscope/FRZ001/text_summary" in events.Tags()["tensors"]
