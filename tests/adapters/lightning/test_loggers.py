"""Findings in the real loggers of a Trainer and of Fabric."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from tests.adapters.lightning.test_watching import Module, data, trainer_of, watching
from tests.adapters.tracking import logged_below, tags_below, tracked

pytestmark = [pytest.mark.corpus, pytest.mark.filterwarnings("ignore")]
wandb = pytest.importorskip("wandb")
mlflow = pytest.importorskip("mlflow")
loggers = pytest.importorskip("lightning.pytorch.loggers")


def fit(folder: Path, logger: Any, *callbacks: Any) -> Any:
    trainer = trainer_of(folder / "out", *callbacks, logger=logger)
    trainer.fit(Module(rate=0.0), data(), data())
    return trainer


def test_the_history_of_a_run_of_wandb_is_what_it_is_unwatched(tmp_path: Path) -> None:
    for name in ("alone", "beside"):
        folder = tmp_path / name
        with tracked(folder):
            logger = loggers.WandbLogger(save_dir=folder, offline=True)
            fit(folder, logger, *([watching(folder)] if name == "beside" else []))
            wandb.finish()
    alone, beside = logged_below(tmp_path / "alone"), logged_below(tmp_path / "beside")
    assert alone.rows
    assert alone.rows == beside.rows
    assert ": error frozen-by-zero-lr: backbone" in beside.texts["stepscope/FRZ001"]
    assert set(beside.summary) - set(alone.summary) == set(beside.texts)


def test_a_run_that_is_not_the_one_of_the_process_has_it_too(tmp_path: Path) -> None:
    with tracked(tmp_path):
        with wandb.init(reinit="create_new", dir=tmp_path) as run:
            assert wandb.run is None
            fit(tmp_path, loggers.WandbLogger(experiment=run), watching(tmp_path))
        assert "stepscope/FRZ001" in logged_below(tmp_path).texts


def test_the_run_of_mlflow_is_given_tags_and_keeps_its_metrics(tmp_path: Path) -> None:
    with tracked(tmp_path):
        logger = loggers.MLFlowLogger(tracking_uri=(tmp_path / "mlruns").as_uri())
        trainer = fit(tmp_path, logger, watching(tmp_path))
        metrics = logger.experiment.get_run(logger.run_id).data.metrics
        tags = tags_below(tmp_path)
    assert ": error frozen-by-zero-lr: backbone" in tags["stepscope/FRZ001"]
    assert not [name for name in metrics if name.startswith("stepscope")]
    assert trainer.global_step == 8


def test_a_logger_of_fabric_that_logs_nothing_is_not_opened(tmp_path: Path) -> None:
    from lightning.fabric import Fabric
    from lightning.fabric.loggers import CSVLogger, TensorBoardLogger

    from stepscope.adapters.lightning import watch_fabric

    with tracked(tmp_path):
        several = [
            CSVLogger(tmp_path / "table"),
            TensorBoardLogger(tmp_path / "board"),
            loggers.WandbLogger(save_dir=tmp_path, offline=True),
            loggers.MLFlowLogger(tracking_uri=(tmp_path / "mlruns").as_uri()),
        ]
        before = sorted(tmp_path.iterdir())
        fabric = Fabric(accelerator="cpu", devices=1, loggers=several)
        model, optimizer = fabric.setup(
            (inner := nn.Linear(4, 2)), torch.optim.SGD(inner.parameters(), lr=0.0)
        )
        with watch_fabric(fabric, model, optimizer, folder=tmp_path / "kept") as run:
            for _ in range(4):
                fabric.backward(model(torch.randn(4, 4)).square().mean())
                optimizer.step()
                optimizer.zero_grad()
        assert run.report is not None
        assert run.report.at_fault
        assert wandb.run is None
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "kept"])
