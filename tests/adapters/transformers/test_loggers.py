"""Findings where a Trainer of Transformers, and a loop of Accelerate, report to."""

from pathlib import Path

import pytest
import torch
from torch import nn

import stepscope
from tests.adapters.tracking import logged_below, tags_below, tracked
from tests.adapters.transformers.test_watching import frozen_by_rate, network, train, watching

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
wandb = pytest.importorskip("wandb")
mlflow = pytest.importorskip("mlflow")
pytest.importorskip("transformers")
TIMED = ("runtime", "per_second")


def test_a_trainer_that_reports_to_wandb_and_mlflow(tmp_path: Path) -> None:
    for name in ("alone", "beside"):
        folder = tmp_path / name
        with tracked(folder):
            model = network()
            watch = watching(folder)
            train(
                model,
                folder / "out",
                *([watch] if name == "beside" else []),
                report_to=["wandb", "mlflow"],
                optimizers=frozen_by_rate(model),
            )
            wandb.finish()
            tags = tags_below(folder)
    alone, beside = logged_below(tmp_path / "alone"), logged_below(tmp_path / "beside")
    rows = [
        [
            {name: row[name] for name in row if not any(t in name for t in TIMED)}
            for row in each.rows
        ]
        for each in (alone, beside)
    ]
    assert rows[0] == rows[1]
    assert any("train/loss" in row for row in rows[0])
    assert ": error frozen-by-zero-lr: bert" in beside.texts["stepscope/FRZ001"]
    assert tags["stepscope/FRZ001"] == beside.texts["stepscope/FRZ001"]


def test_the_trackers_of_accelerate(tmp_path: Path) -> None:
    accelerate = pytest.importorskip("accelerate")
    with tracked(tmp_path):
        accelerator = accelerate.Accelerator(
            cpu=True, log_with=["wandb", "mlflow", "tensorboard"], project_dir=tmp_path / "board"
        )
        accelerator.init_trackers("test")
        inner = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
        groups = [{"params": inner[0].parameters(), "lr": 0.0}, {"params": inner[2].parameters()}]
        model, optimizer = accelerator.prepare(inner, torch.optim.SGD(groups, lr=0.1))
        with stepscope.watch(model, optimizer, folder=tmp_path / "kept"):
            for step in range(6):
                loss = model(torch.randn(4, 4)).square().mean()
                accelerator.backward(loss)
                optimizer.step()
                optimizer.zero_grad()
                accelerator.log({"loss": loss.item()}, step=step)
        accelerator.end_training()
        logged, tags = logged_below(tmp_path), tags_below(tmp_path)
    assert [row["_step"] for row in logged.rows] == list(range(6))
    assert "stepscope/FRZ001" in logged.texts
    assert "stepscope/FRZ001" in tags

    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tmp_path / "board" / "test"))
    events.Reload()
    assert [each.step for each in events.Scalars("loss")] == list(range(6))
    assert "stepscope/FRZ001/text_summary" in events.Tags()["tensors"]
