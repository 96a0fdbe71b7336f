"""Runs of a few steps on made-up pairs of 80x64 pixels."""

import csv
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from stepscope_systems.rgbt_detection.config import Config, Stage, for_stage, nano

# As options of the command line: the same run in a process of its own.
OPTIONS = (
    *("--model.channels", "32", "--model.representation", "64"),
    *("--model.shortest", "64", "--model.longest", "80"),
    *("--model.anchor_sizes", "[8,12,18,27,40]", "--model.proposals", "40"),
    *("--model.anchors_sampled", "32", "--model.rois_sampled", "16", "--model.detections", "10"),
    *("--model.score_threshold", "0", "--model.queue", "32", "--model.hardest", "8"),
    *("--data.train_pairs", "24", "--data.test_pairs", "8", "--data.validation_share", "0.25"),
    *("--data.batch", "4", "--optimizer.warmup_steps", "2", "--run.epochs", "1"),
    *("--run.accelerator", "cpu", "--run.threads", "1", "--run.progress", "false"),
)


def tiny(output: Path, stage: Stage = "stage1", epochs: int = 1, **run: Any) -> Config:
    """Return a run of 12 training and 12 validation pairs, three steps an epoch."""
    start = for_stage(nano(), stage)
    return replace(
        start,
        model=replace(
            start.model,
            channels=32,
            representation=64,
            shortest=64,
            longest=80,
            anchor_sizes=(8, 12, 18, 27, 40),
            proposals=40,
            anchors_sampled=32,
            rois_sampled=16,
            detections=10,
            score_threshold=0.0,  # weak detections make an AP that is not zero
            queue=32,
            hardest=8,
        ),
        data=replace(start.data, train_pairs=24, test_pairs=8, validation_share=0.25, batch=4),
        optimizer=replace(start.optimizer, warmup_steps=2),
        run=replace(
            start.run,
            epochs=epochs,
            accelerator="cpu",
            threads=1,
            output=str(output),
            progress=False,
            **run,
        ),
    )


class Spoilt(Callback):
    """Sends all boxes astray in the last epoch: its AP is zero."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == trainer.max_epochs - 1:
            bias = pl_module.get_parameter("detector.roi_heads.box_predictor.bbox_pred.bias")
            bias.data.fill_(30.0)


def share_data(source: Path, output: Path) -> Path:
    """Let a run read the made-up pairs that another one has written."""
    output.mkdir(exist_ok=True)
    (output / "data").symlink_to(source / "data")
    return output


def logged(folder: Path) -> Sequence[Mapping[str, float]]:
    """Return the rows of a run's log, without what they leave empty."""
    with (folder / "csv" / "metrics.csv").open(newline="") as file:
        return [
            {name: float(value) for name, value in row.items() if value}
            for row in csv.DictReader(file)
        ]


def saved(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint."""
    content: dict[str, Any] = torch.load(checkpoint, weights_only=True)
    return content


def tensors(content: Any, name: str = "") -> dict[str, Tensor]:
    """Return all tensors and numbers below a value, by their path in it."""
    if isinstance(content, Mapping):
        parts = content.items()
    elif isinstance(content, list | tuple):
        parts = dict(enumerate(content)).items()
    elif isinstance(content, Tensor | int | float):
        return {name: torch.as_tensor(content)}
    else:
        return {}
    found: dict[str, Tensor] = {}
    for key, value in parts:
        found |= tensors(value, f"{name}/{key}")
    return found


def different(first: Any, second: Any) -> list[str]:
    """Return the paths at which two values do not have the same bits."""
    one, other = tensors(first), tensors(second)
    return sorted(
        name
        for name in one.keys() | other.keys()
        if name not in one or name not in other or not torch.equal(one[name], other[name])
    )
