"""The moving average of the weights, which is validated and saved."""

from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage(WeightAveraging):
    """Averages what is trained, and leaves the bits of what is frozen.

    Lightning's own `EMAWeightAveraging` computes `decay * average + (1 - decay) * weight`, which
    rounds where both are equal: a frozen weight drifts. Interpolation does not.
    """

    def __init__(self, decay: float) -> None:
        """Take the share of the average that a step leaves; statistics are not averaged."""
        super().__init__(use_buffers=False, multi_avg_fn=get_ema_multi_avg_fn(decay))

    def on_save_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Save the average, with the counts of the queue as the trained modules have them."""
        super().on_save_checkpoint(trainer, pl_module, checkpoint)
        current = checkpoint.get("current_model_state", {})
        checkpoint["state_dict"] |= {
            name: value for name, value in current.items() if name.endswith("_extra_state")
        }
