"""Trains one stage: data, model, what it starts from, what is frozen, callbacks, fit."""

import sys
from collections.abc import Sequence
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import (
    Callback,
    EarlyStopping,
    ModelCheckpoint,
)
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities import rank_zero_only
from torch.utils.data import DataLoader

from stepscope.adapters.lightning import FreezeCallback
from stepscope_systems.rgbt_detection.averaging import MovingAverage
from stepscope_systems.rgbt_detection.checkpoints import write_config
from stepscope_systems.rgbt_detection.config import STAGES, Config, Stage
from stepscope_systems.rgbt_detection.data.dataset import EpochSampler, PairedDataset, collate
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.data.stages import Lists, lists_of
from stepscope_systems.rgbt_detection.data.transforms import PairedAugmentation
from stepscope_systems.rgbt_detection.feasibility import expect_feasible
from stepscope_systems.rgbt_detection.initialisation import expect_start, initialise
from stepscope_systems.rgbt_detection.module import DetectionModule
from stepscope_systems.rgbt_detection.progress import EpochBar
from stepscope_systems.rgbt_detection.quiet import quiet
from stepscope_systems.rgbt_detection.resuming import expect_same_run

Loader = DataLoader[dict[str, Any]]
BEST, LAST = "best", "last"  # names of checkpoints, without .ckpt


def train(config: Config, stage: Stage, watchers: Sequence[Callback] = ()) -> Path:
    """Train a stage, and return the folder of the run.

    The folder gets `config.yaml` (resolved), `best.ckpt` (by AP on the validation pairs),
    `last.ckpt`, `csv/metrics.csv`, TensorBoard's events, and `freeze.json`, the proof that the
    frozen part stood still. A former run in this place is set aside, and that is said. `watchers`
    are called after all other callbacks.

    Raises:
        ValueError: the configuration, the data or the checkpoint does not serve.
        FileNotFoundError: a file that was named is not there.
    """
    run = config.run
    expect_start(config, stage)
    expect_same_run(config, stage)
    folder = Path(run.output) / stage
    _expect_start_to_stay(config, folder)
    if run.threads:
        torch.set_num_threads(run.threads)
    pl.seed_everything(run.seed, verbose=False)
    lists = lists_of(config.data, stage, Path(run.output) / "data")
    say(lists.summary())
    expect_feasible(config, len(lists.train.pairs))
    module = DetectionModule(config, lists.validation)
    if run.resume is None:
        say("started " + initialise(module.detector, config, stage).summary())
    say(_trained(module))
    log = "csv" if run.resume is None else rank_zero_only(_log, default="csv")(folder)
    with quiet():
        trainer = _trainer(config, folder, log, watchers)
        say(f"on {run.devices} x {trainer.strategy.root_device.type}, {trainer.precision}")
        if run.resume is None:
            rank_zero_only(_set_aside)(folder)
        folder.mkdir(parents=True, exist_ok=True)
        rank_zero_only(write_config)(folder, config, stage)
        ahead = loaders(config, lists, trainer)
        try:
            trainer.fit(module, *ahead, ckpt_path=run.resume, weights_only=True)
        except SystemExit:  # how Lightning ends a program that a person has interrupted
            if (last := folder / f"{LAST}.ckpt").is_file():
                say(f"interrupted; go on with --config {folder / 'config.yaml'} --resume {last}")
            raise
    if trainer.current_epoch < run.epochs:
        waited = f"no better AP in {run.patience} validations"
        say(f"stopped after {trainer.current_epoch} of {run.epochs} epochs: {waited}")
    return folder


def _trainer(config: Config, folder: Path, log: str, watchers: Sequence[Callback]) -> pl.Trainer:
    """Return the trainer of a run.

    Raises:
        ValueError: this machine has not the devices that are wanted.
    """
    run = config.run
    try:
        return pl.Trainer(
            default_root_dir=folder,
            max_epochs=run.epochs,
            accelerator=run.accelerator,
            devices=run.devices,
            strategy=DDPStrategy(find_unused_parameters=True) if run.devices > 1 else "auto",
            precision=run.precision,
            accumulate_grad_batches=config.optimizer.accumulate,
            gradient_clip_val=config.optimizer.clip or None,
            check_val_every_n_epoch=run.validate_every,
            num_sanity_val_steps=0,
            log_every_n_steps=1,  # the module chooses its steps itself
            use_distributed_sampler=False,
            logger=[
                TensorBoardLogger(folder, name="", version="tensorboard"),
                CSVLogger(folder, name="", version=log),
            ],
            callbacks=[*callbacks(config, folder), *watchers],
            enable_progress_bar=run.progress,
            enable_model_summary=False,
        )
    except MisconfigurationException as error:
        raise ValueError(
            f"run.accelerator {run.accelerator} with run.devices {run.devices} cannot be had here "
            f"({str(error).splitlines()[0]}); expected what this machine has, as --run.accelerator "
            "cpu"
        ) from None


def callbacks(config: Config, folder: Path) -> list[Callback]:
    """Return what watches over the run; the freeze comes first, before weights are copied."""
    found: list[Callback] = []
    if frozen := frozen_parts(config):
        found.append(FreezeCallback(frozen, prove_every=100, record=folder / "freeze.json"))
    if config.optimizer.ema:
        found.append(MovingAverage(config.optimizer.ema))
    found.append(
        ModelCheckpoint(
            folder,
            BEST,
            monitor="validation/ap",
            mode="max",
            enable_version_counter=False,
        )
    )
    # After the best one, whose state it holds; its own save_last is the last best one.
    found.append(
        ModelCheckpoint(folder, LAST, save_on_train_epoch_end=True, enable_version_counter=False)
    )
    if config.run.patience:
        found.append(
            EarlyStopping("validation/ap", mode="max", patience=config.run.patience, strict=True)
        )
    if config.run.progress:
        found.append(EpochBar())
    return found


def frozen_parts(config: Config) -> tuple[str, ...]:
    """Return globs of the body's stages that are frozen: 1 is the stem and layer1; 5 is all."""
    stages = config.model.frozen_stages
    if stages == 0:
        return ()
    if stages == STAGES:
        return ("detector.body",)
    stem = ("detector.body.conv1", "detector.body.bn1")
    return stem + tuple(f"detector.body.layer{each}" for each in range(1, stages + 1))


def loaders(config: Config, lists: Lists, trainer: pl.Trainer) -> tuple[Loader, Loader]:
    """Return the loaders of training and validation."""
    data = config.data
    augmented = dataset(config, lists.train, augmentation=PairedAugmentation(data))
    sampler = EpochSampler(
        len(augmented), seed=config.run.seed, rank=trainer.global_rank, world=trainer.world_size
    )
    batched = partial(
        DataLoader, batch_size=data.batch, num_workers=data.workers, collate_fn=collate
    )
    shown = dataset(config, lists.validation)
    mine = range(trainer.global_rank, len(shown), trainer.world_size)
    return (
        batched(augmented, sampler=sampler, drop_last=True),
        batched(shown, sampler=list(mine)),
    )


def dataset(
    config: Config, pairs: PairList, augmentation: PairedAugmentation | None = None
) -> PairedDataset:
    """Return the samples of a list, as the configuration wants them."""
    return PairedDataset(
        pairs,
        eval_boxes=config.data.eval_boxes,
        augmentation=augmentation,
        missing=config.data.missing,
        seed=config.run.seed,
    )


@rank_zero_only
def say(text: str) -> None:
    """Tell the person at the terminal, on stderr, once whatever the number of processes."""
    sys.stderr.write(text + "\n")


def _expect_start_to_stay(config: Config, folder: Path) -> None:
    """Refuse to set aside what the other processes of this run have yet to read.

    Raises:
        ValueError: the checkpoint lies in the folder of this run.
    """
    run = config.run
    if run.devices == 1 or run.resume is not None or run.checkpoint is None:
        return
    if Path(run.checkpoint).resolve().is_relative_to(folder.resolve()):
        raise ValueError(
            f"--run.checkpoint {run.checkpoint} lies in {folder}, which this run sets aside while "
            "its other processes still read; expected another --run.output"
        )


def _set_aside(folder: Path) -> None:
    """Give the folder of a former run another name: its checkpoints are not this run's."""
    if not folder.exists() or not any(folder.iterdir()):
        return
    places = (folder.with_name(f"{folder.name}-former-{number}") for number in count(1))
    place = next(each for each in places if not each.exists())
    folder.rename(place)
    say(f"{folder} held a former run, which is now {place}")


def _log(folder: Path) -> str:
    """Return the name of the CSV log: a run that goes on keeps what it logged before."""
    former = sorted(folder.glob("csv*"))
    return f"csv-{len(former) + 1}" if former else "csv"


def _trained(module: DetectionModule) -> str:
    """Say how many parameters there are, by part."""
    counts = {
        name: sum(each.numel() for each in part.parameters())
        for name, part in module.detector.named_children()
    }
    parts = ", ".join(f"{name} {count:,}" for name, count in counts.items() if count)
    return f"{sum(counts.values()):,} parameters: {parts}"
