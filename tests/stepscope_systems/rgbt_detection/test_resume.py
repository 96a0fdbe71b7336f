"""A run that was interrupted goes on as if it had not been."""

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from stepscope_systems.rgbt_detection.config import Config
from stepscope_systems.rgbt_detection.train import train
from tests.stepscope_systems.rgbt_detection.tiny_runs import (
    different,
    logged,
    saved,
    share_data,
    tensors,
    tiny,
)

pytestmark = pytest.mark.corpus


class Interrupt(Callback):
    """Is a person who presses Ctrl-C in the second epoch."""

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.current_epoch == 1:
            raise KeyboardInterrupt


class PowerCutError(Exception):
    pass


class PowerCut(Callback):
    """Ends the program in the middle of the second epoch."""

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        if trainer.current_epoch == 1 and batch_idx == 1:
            raise PowerCutError


def interrupted(config: Config) -> Path:
    """Train until the power is cut, and return the folder of the run."""
    with pytest.raises(PowerCutError):
        train(config, "stage1", watchers=[PowerCut()])
    return Path(config.run.output) / "stage1"


def best_scores(content: dict[str, Any]) -> list[float]:
    """Return what the checkpoints that are still to come are held against."""
    kept = tensors(content["callbacks"])
    return [float(value) for name, value in kept.items() if name.endswith("best_model_score")]


@pytest.mark.parametrize(("accumulate", "ema"), [(1, 0.9), (2, 0.0)])
def test_two_epochs_are_the_same_bits_as_one_and_another_after_a_power_cut(
    accumulate: int, ema: float, stage1: Path, tmp_path: Path
) -> None:
    config = tiny(share_data(stage1.parent, tmp_path / "whole"), epochs=2)
    config = replace(
        config,
        optimizer=replace(config.optimizer, accumulate=accumulate, ema=ema, lr=4e-3),
        data=replace(config.data, batch=2 if accumulate == 2 else 4),
    )
    whole = saved(train(config, "stage1") / "last.ckpt")
    output = str(share_data(stage1.parent, tmp_path / "parts"))
    parts = replace(config, run=replace(config.run, output=output))
    folder = interrupted(parts)
    first = saved(folder / "last.ckpt")
    before = logged(folder)

    parts = replace(parts, run=replace(parts.run, resume=str(folder / "last.ckpt")))
    second = saved(train(parts, "stage1") / "last.ckpt")

    assert (first["epoch"], second["epoch"]) == (0, 1)
    assert first["global_step"] * 2 == second["global_step"] == 6
    compared = ("state_dict", "optimizer_states", "lr_schedulers", "loops")
    if ema:
        compared += ("current_model_state", "averaging_state")
    for part in compared:
        assert different(second[part], whole[part]) == [], part
    assert best_scores(second) == best_scores(whole) != []
    # The queue is part of it, and the second epoch was not for nothing.
    names = {name.split("/")[1] for name in different(first["state_dict"], whole["state_dict"])}
    assert "detector.alignment.dhn.rows" in names
    assert "detector.alignment.dhn._extra_state" in names
    assert different(first["optimizer_states"], whole["optimizer_states"])
    # What was logged before stays; the second epoch has a log of its own.
    assert logged(folder) == before
    assert (folder / "csv-2" / "metrics.csv").is_file()


def test_the_best_epoch_of_before_the_cut_stays_the_best(stage1: Path, tmp_path: Path) -> None:
    config = tiny(
        share_data(stage1.parent, tmp_path), epochs=2, checkpoint=str(stage1 / "best.ckpt")
    )
    # Steps too small to change anything: the second epoch is as good as the first, not better.
    config = replace(config, optimizer=replace(config.optimizer, lr=1e-12))
    folder = interrupted(config)

    config = replace(config, run=replace(config.run, resume=str(folder / "last.ckpt")))
    train(config, "stage1")

    assert saved(folder / "best.ckpt")["epoch"] == 0
    assert saved(folder / "last.ckpt")["epoch"] == 1


def test_a_run_with_other_options_is_refused_by_their_names(stage1: Path) -> None:
    config = tiny(stage1.parent, epochs=5, resume=str(stage1 / "last.ckpt"))

    with pytest.raises(
        ValueError,
        match=r"other options \(optimizer.lr is 0.001, was 0.004; optimizer.ema is 0.98, was 0.0\)",
    ):
        train(config, "stage1")


def test_a_run_that_is_finished_is_refused(stage1: Path, tmp_path: Path) -> None:
    output = share_data(stage1.parent, tmp_path)
    for name in ("last.ckpt", "config.yaml"):
        shutil.copy(stage1 / name, output / name)
    config = tiny(output, epochs=5, resume=str(output / "last.ckpt"))
    config = replace(config, optimizer=replace(config.optimizer, lr=4e-3, ema=0.0))

    with pytest.raises(ValueError, match="has 5 of 5 epochs: this run is finished"):
        train(config, "stage1")


def test_a_checkpoint_of_the_other_stage_is_refused(stage1: Path) -> None:
    config = tiny(stage1.parent, "stage2", resume=str(stage1 / "last.ckpt"))

    with pytest.raises(ValueError, match=r"is of stage1, and this is stage2.*--run.checkpoint"):
        train(config, "stage2")


def test_a_checkpoint_that_is_not_there_is_refused(tmp_path: Path) -> None:
    config = tiny(tmp_path, resume=str(tmp_path / "last.ckpt"))

    with pytest.raises(FileNotFoundError, match=r"last.ckpt is not there; expected the last.ckpt"):
        train(config, "stage1")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def weights_alone(path: Path) -> None:
    torch.save({"state_dict": saved(path)["state_dict"]}, path)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (half, r"last.ckpt cannot be read as weights"),
        (
            weights_alone,
            r"last.ckpt has no pytorch-lightning_version, epoch, .*; weights alone .*--run.checkpo",
        ),
    ],
)
def test_a_file_that_a_run_cannot_go_on_from_is_refused(
    spoil: Callable[[Path], None], said: str, stage1: Path, tmp_path: Path
) -> None:
    for name in ("last.ckpt", "config.yaml"):
        shutil.copy(stage1 / name, tmp_path / name)
    spoil(tmp_path / "last.ckpt")
    config = tiny(stage1.parent, epochs=5, resume=str(tmp_path / "last.ckpt"))
    config = replace(config, optimizer=replace(config.optimizer, lr=4e-3, ema=0.0))

    with pytest.raises(ValueError, match=said):
        train(config, "stage1")


def test_a_person_who_interrupts_is_told_how_to_go_on(
    stage1: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tiny(share_data(stage1.parent, tmp_path), epochs=2)
    handler = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as left:
            train(config, "stage1", watchers=[Interrupt()])
    finally:  # Lightning leaves it ignored
        signal.signal(signal.SIGINT, handler)

    assert left.value.code == 1
    folder = tmp_path / "stage1"
    expected = f"interrupted; go on with --config {folder}/config.yaml --resume {folder}/last.ckpt"
    assert capsys.readouterr().err.splitlines()[-1] == expected
    assert saved(folder / "last.ckpt")["epoch"] == 0
