"""The bar of an epoch: on stderr, as everything that is not a result."""

import lightning.pytorch as pl
from lightning.pytorch.callbacks import RichProgressBar


class EpochBar(RichProgressBar):
    """Shows the loss and AP50, and no number of a version: a run has one."""

    def __init__(self) -> None:
        """Write to stderr."""
        super().__init__(console_kwargs={"stderr": True})

    def get_metrics(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule
    ) -> dict[str, int | str | float | dict[str, float]]:
        """Return what stands beside the bar."""
        shown = super().get_metrics(trainer, pl_module)
        return {name: value for name, value in shown.items() if name != "v_num"}
