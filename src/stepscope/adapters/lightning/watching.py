"""A fit of Lightning under watch."""

import math
import weakref
from collections.abc import Iterator
from typing import Any, Unpack

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler
from torch import Tensor

from stepscope.adapters.attached import Attached
from stepscope.adapters.harmless import harmless
from stepscope.adapters.how import How, settle
from stepscope.adapters.journals import Journal, Told
from stepscope.adapters.lightning.journals import journals_of
from stepscope.adapters.ranks import Ranks
from stepscope.core.verdict import Report


class WatchCallback(pl.Callback):
    """Watches each fit: findings are said when they become true, a verdict at its end.

    ```python
    watch = WatchCallback(on_error="stop")
    Trainer(callbacks=[watch]).fit(module)
    print(watch.report.verdict)
    ```

    The module gives parameters their names. Epochs, planned steps, and all that the module logs
    are taken from the Trainer. `on_error="stop"` sets `trainer.should_stop`: checkpoints are
    written as ever. Findings go to the Trainer's loggers too, from the main process: as text to
    TensorBoard, into the summary of a run of W&B and the tags of one of MLflow, into a table beside
    that of a `CSVLogger`, as a mark `stepscope/CODE` to others.
    """

    def __init__(self, **how: Unpack[How]) -> None:
        """Take the keywords of `How`.

        Raises:
            ValueError: one of them, or stepscope.toml, holds what stepscope does not know.
        """
        super().__init__()
        self._attached = Attached(settle(**how))
        self._logged: dict[str, Tensor] = {}  # as they were when last looked at

    @property
    def report(self) -> Report | None:
        """What came of the last fit. None while it goes, and under `stepscope run`."""
        return self._attached.report

    @property
    def stopped(self) -> bool:
        """A finding has stopped the fit."""
        return self._attached.stopped

    @harmless
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Begin, before the optimizers are made."""
        if stage != "fit":
            return

        held = weakref.ref(trainer)

        def stop(_: int) -> None:
            if (alive := held()) is not None:
                alive.should_stop = True

        self._logged = {}
        self._attached.begin(
            {"": pl_module},
            (),
            stop=stop,
            ranks=Ranks.here(trainer.global_rank, trainer.world_size),
            journals=lambda told: _journals_of(alive, told) if (alive := held()) else (),
        )

    @harmless
    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say how long it is to go, and whether it began earlier."""
        if trainer.global_step:
            self._attached.resumed(trainer.global_step)
        callbacks = trainer.callbacks  # type: ignore[attr-defined]  # its connector sets them
        changes = any(isinstance(each, GradientAccumulationScheduler) for each in callbacks)
        if changes or not pl_module.automatic_optimization:
            return  # Lightning cannot tell how many steps that makes
        planned = trainer.estimated_stepping_batches
        if 0 < planned < math.inf:
            self._attached.plan(
                max(int(planned) - trainer.global_step, 0),
                trainer.accumulate_grad_batches,
                "Trainer.estimated_stepping_batches",
            )

    @harmless
    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take what was logged at the end of the last epoch, and begin the next."""
        del pl_module
        self._take_logged(trainer)
        ends = trainer.max_epochs is not None and trainer.max_epochs > 0
        self._attached.epoch(trainer.current_epoch, trainer.max_epochs if ends else None)

    @harmless
    def on_train_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Take what was logged."""
        del pl_module, outputs, batch, batch_idx
        if self._attached.is_sampled:
            self._take_logged(trainer)

    @harmless
    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take what was logged."""
        del pl_module
        if not trainer.sanity_checking:
            self._take_logged(trainer)

    @harmless
    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take what was logged last."""
        del pl_module
        self._take_logged(trainer)

    @harmless
    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Judge."""
        del trainer, pl_module
        self._attached.end()

    @harmless
    def on_exception(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException
    ) -> None:
        """Judge what there is."""
        del trainer, pl_module
        self._attached.end(exception)

    def _take_logged(self, trainer: pl.Trainer) -> None:
        """Note what is new: Lightning leaves a value alone until it is logged again."""
        logged = dict(trainer.callback_metrics)
        fresh = {
            name: value for name, value in logged.items() if self._logged.get(name) is not value
        }
        self._logged = logged
        self._attached.log({name: value for name, value in fresh.items() if value.numel() == 1})


def _journals_of(trainer: pl.Trainer, told: Told) -> Iterator[tuple[object, Journal]]:
    """Return those of its loggers."""
    at = trainer.fit_loop.epoch_loop._batches_that_stepped
    return journals_of(trainer.loggers, told, at=at)
