"""The Lightning module: a step, its optimizer, and a validation in original pixels."""

from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import CosineAnnealingLR, LinearLR, SequentialLR

from stepscope_systems.rgbt_detection.config import Config, ModelConfig, OptimizerConfig
from stepscope_systems.rgbt_detection.data.pairs import PairList
from stepscope_systems.rgbt_detection.loss import total_loss
from stepscope_systems.rgbt_detection.metrics.average_precision import average_precision
from stepscope_systems.rgbt_detection.metrics.results import Result, result_of
from stepscope_systems.rgbt_detection.model import Detector, Losses
from stepscope_systems.rgbt_detection.model.detector import Target

Batch = list[dict[str, Any]]
LOG_EVERY = 5  # batches: asking a device for numbers waits for it
_PERSONAL = ("boxes", "labels", "boxes_visible", "boxes_infrared", "identities")


class DetectionModule(pl.LightningModule):
    """Trains a detector on pairs; the total is the weighted sum of the terms of the step."""

    def __init__(self, config: Config, validation: PairList) -> None:
        """Take the configuration, and the pairs that validation results are put beside."""
        super().__init__()
        self.config = config
        self.validation = validation
        self.detector = Detector(config.model)
        self._results = list[Result]()
        self._inactive = dict.fromkeys(_contrastive(config.model), 0)  # steps without a term

    def forward(self, visible: list[Tensor], infrared: list[Tensor]) -> list[dict[str, Tensor]]:
        """Return detections, in pixels of the images given."""
        found: list[dict[str, Tensor]] = self.detector(visible, infrared)
        return found

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        """Make the sampling of anchors and RoIs a function of the batch: resuming repeats it."""
        del batch
        seeds = np.random.SeedSequence(
            (self.config.run.seed, self.current_epoch, batch_idx, self.global_rank)
        )
        torch.manual_seed(int(seeds.generate_state(1, np.uint64)[0]))

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse to go on with a run that is at its end.

        Raises:
            ValueError: all its epochs are done.
        """
        done, wanted = checkpoint["epoch"] + 1, self.config.run.epochs
        if done >= wanted:
            raise ValueError(
                f"{self.config.run.resume} has {done} of {wanted} epochs: this run is finished; "
                "start another one from its weights by --run.checkpoint"
            )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the total; every term is logged raw and weighted.

        Raises:
            ValueError: the total is not finite. Nothing is replaced by zero.
        """
        losses: Losses = self.detector(*images_of(batch), targets_of(batch))
        total = total_loss(losses.terms, self.config.loss)
        if batch_idx % LOG_EVERY == 0:
            self._expect_finite(total.total, losses.terms)
            self._log_step(losses, total.total, total.weighted)
            self.log("loss", total.total.detach(), prog_bar=True, logger=False, batch_size=1)
        self._count_inactive(losses)
        return total.total

    def on_train_epoch_end(self) -> None:
        """Log in how many steps of the epoch each term was inactive.

        Raises:
            ValueError: a weight is not finite, which no step after it would have told of.
        """
        for name, parameter in self.detector.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise ValueError(
                    f"{name} is not finite after epoch {self.current_epoch + 1}; lower "
                    "optimizer.lr, or find the module by `stepscope check`"
                )
        for name, count in self._inactive.items():
            # Every rank logs every name: one that logged none would leave the others waiting.
            self.log(f"inactive_steps/{name}", float(count), sync_dist=True, reduce_fx="sum")
            self._inactive[name] = 0

    def on_validation_epoch_start(self) -> None:
        """Validate what is saved: the first rank's statistics, not each rank's own."""
        if self.trainer.world_size > 1:
            for buffer in self.buffers():
                torch.distributed.broadcast(buffer, 0)

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Detect, and keep what was found beside what is there."""
        del batch_idx
        for sample, found in zip(batch, self(*images_of(batch)), strict=True):
            self._results.append(
                result_of(
                    self.validation.pairs[sample["index"]],
                    found["boxes"].cpu().double().numpy(),
                    found["scores"].cpu().double().numpy(),
                    eval_boxes=self.config.data.eval_boxes,
                )
            )

    def on_validation_epoch_end(self) -> None:
        """Log AP, AP50 and AP75 over all ranks' pairs."""
        results = self._results
        if self.trainer.world_size > 1:
            gathered: list[list[Result]] = [[] for _ in range(self.trainer.world_size)]
            torch.distributed.all_gather_object(gathered, results)
            results = [each for part in gathered for each in part]
        precision = average_precision(list({each.name: each for each in results}.values()))
        self._results.clear()
        for name, value in (
            ("ap", precision.ap),
            ("ap50", precision.ap50),
            ("ap75", precision.ap75),
        ):
            # The ranks' values are equal: their mean is what they are.
            self.log(f"validation/{name}", value, prog_bar=name == "ap50", sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Return AdamW with a warm-up that ends within the run, then a cosine."""
        settings = self.config.optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        assert settings.warmup_steps < steps, "a run that is feasible ends its warm-up"
        pairs = self.config.data.batch * settings.accumulate * self.trainer.world_size
        lr = settings.lr * pairs / settings.base_batch
        optimizer = torch.optim.AdamW(parameter_groups(self.detector, settings, lr), lr=lr)
        cosine = CosineAnnealingLR(
            optimizer, steps - settings.warmup_steps, eta_min=lr * settings.final_lr
        )
        if not settings.warmup_steps:
            return {"optimizer": optimizer, "lr_scheduler": _by_step(cosine)}
        warm = LinearLR(optimizer, 0.01, total_iters=settings.warmup_steps)
        schedule = SequentialLR(optimizer, [warm, cosine], [settings.warmup_steps])
        return {"optimizer": optimizer, "lr_scheduler": _by_step(schedule)}

    def _log_step(self, losses: Losses, total: Tensor, weighted: Mapping[str, Tensor]) -> None:
        values: dict[str, Tensor | float] = {"loss/total": total, "epoch": self.current_epoch}
        values |= {f"raw/{name}": term for name, term in losses.terms.items()}
        values |= {f"weighted/{name}": term for name, term in weighted.items()}
        for group in self.trainer.optimizers[0].param_groups:
            values[f"lr-{group['name']}"] = group["lr"]
        if self.detector.msp is not None:
            values["msp/alpha"] = self.detector.msp.alpha.clamp(0, 1)
        contrast = losses.contrast
        if contrast is not None and contrast.people > 1:
            assert self.detector.alignment is not None, "it made the contrast"
            positive, negative = contrast.cosines()
            values |= {
                "macl/people": float(contrast.people),
                "macl/recall_at_1": contrast.recall_at_1(),
                "macl/cosine_positive": positive,
                "macl/cosine_negative": negative,
                "macl/temperature": self.detector.alignment.macl.temperature,
                "dhn/fill": contrast.fill,
            }
            if "loss_macl" in losses.terms:
                chance = float(np.log(contrast.people))
                values["macl/loss_by_chance"] = losses.terms["loss_macl"] / chance
        # Not self.log: it would repeat the last value of a term that this step does not have.
        numbers = {name: float(torch.as_tensor(value).detach()) for name, value in values.items()}
        for logger in self.loggers:
            logger.log_metrics(numbers, self.global_step)

    def _count_inactive(self, losses: Losses) -> None:
        if losses.contrast is None:
            return
        for name in losses.contrast.inactive:
            self._inactive[name] += 1

    def _expect_finite(self, total: Tensor, terms: Mapping[str, Tensor]) -> None:
        if bool(torch.isfinite(total)):
            return
        broken = ", ".join(
            f"{name} {float(term.detach()):g}"
            for name, term in terms.items()
            if not bool(torch.isfinite(term))
        )
        raise ValueError(
            f"the loss is not finite at step {self.global_step} ({broken}); lower optimizer.lr, or "
            "find the module by `stepscope check`"
        )


def images_of(batch: Batch) -> tuple[list[Tensor], list[Tensor]]:
    """Return the visible and the infrared images of a batch, as the detector takes them."""
    visible, infrared = (
        [sample[modality].as_subclass(Tensor) for sample in batch]
        for modality in ("visible", "infrared")
    )
    return visible, infrared


def targets_of(batch: Batch) -> list[Target]:
    """Return what the detector is to learn; ignored boxes are no targets."""
    targets = []
    for sample in batch:
        wanted = ~sample["ignore"]
        target = {key: sample[key].as_subclass(Tensor)[wanted] for key in _PERSONAL}
        targets.append(target | {"scene": sample["scene"], "frame": sample["frame"]})
    return targets


def parameter_groups(
    detector: nn.Module, settings: OptimizerConfig, lr: float
) -> list[dict[str, Any]]:
    """Return what is trained: weights that decay, those that do not, and the temperature."""
    decayed, kept, tau = [], [], []
    for name, parameter in detector.named_parameters():
        if not parameter.requires_grad:
            continue
        if name.endswith("tau"):
            tau.append(parameter)
        elif parameter.ndim > 1:
            decayed.append(parameter)
        else:
            kept.append(parameter)
    groups = [
        {"name": "decayed", "params": decayed, "weight_decay": settings.weight_decay},
        {"name": "not-decayed", "params": kept, "weight_decay": 0.0},
        {"name": "temperature", "params": tau, "weight_decay": 0.0, "lr": lr * settings.tau_lr},
    ]
    return [group for group in groups if group["params"]]


def _contrastive(model: ModelConfig) -> list[str]:
    """Return the terms that a step may be without."""
    terms = {"loss_macl": model.macl, "loss_dhn": model.dhn, "loss_domain": model.domain}
    return [name for name, is_wanted in terms.items() if is_wanted]


def _by_step(schedule: torch.optim.lr_scheduler.LRScheduler) -> dict[str, Any]:
    return {"scheduler": schedule, "interval": "step"}
