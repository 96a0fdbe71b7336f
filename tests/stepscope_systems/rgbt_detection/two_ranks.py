"""Trains in one of two processes, and writes down what this one ends with.

torchrun --nproc-per-node 2 two_ranks.py OUTPUT CHECKPOINT
"""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from stepscope_systems.rgbt_detection.model.alignment import Alignment
from stepscope_systems.rgbt_detection.model.dhn import Whereabouts
from stepscope_systems.rgbt_detection.train import train
from tests.stepscope_systems.rgbt_detection.tiny_runs import tiny


class Witness(Callback):
    """Saves a rank's weights and queue at the end."""

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        lonely = Alignment(pl_module.detector.config)
        people = 0 if trainer.global_rank == 0 else 3  # one rank sees nobody, and must not wait
        rows = torch.full((people, 32), 1.0)
        about = torch.arange(people)
        lonely(rows, rows, Whereabouts(identity=about, scene=about, frame=about))
        queue = pl_module.detector.alignment.dhn
        torch.save(
            {
                "parameters": {name: each.detach() for name, each in pl_module.named_parameters()},
                "queue": {name: getattr(queue, name) for name in ("rows", "identity", "scene")},
                "counts": queue.get_extra_state(),
                "lonely": lonely.dhn.get_extra_state(),
                "metrics": {
                    name: float(value)
                    for name, value in trainer.callback_metrics.items()
                    if name.startswith("validation/")
                },
                "lr": trainer.optimizers[0].param_groups[0]["initial_lr"],
                "step": trainer.global_step,
            },
            Path(trainer.default_root_dir) / f"rank{trainer.global_rank}.pt",
        )


if __name__ == "__main__":
    torch.set_num_threads(1)
    output, checkpoint = sys.argv[1:]
    config = tiny(Path(output), epochs=1, devices=2, checkpoint=checkpoint)
    config = replace(
        config,
        data=replace(config.data, batch=2),
        # Steps so small that the detections are still the checkpoint's.
        optimizer=replace(config.optimizer, lr=1e-9, ema=0.0, warmup_steps=1),
    )
    train(config, "stage1", watchers=[Witness()])
