"""Freezing under Lightning: before the optimizer and the strategy's wrapper are made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from stepscope.freezing.plans import AppliedPlan, Plan
from stepscope.freezing.proof import Proof


class FreezeCallback(pl.Callback):
    """Holds a module to a plan of freezing, through `train()`, validation and resumption.

    ```python
    callback = FreezeCallback(Plan(frozen=("backbone",)))
    trainer = Trainer(callbacks=[callback])

    def configure_optimizers(self):
        return torch.optim.AdamW(filter(lambda p: p.requires_grad, self.parameters()), lr=1e-4)
    ```

    The plan is applied in `setup`, before `configure_optimizers` and before the strategy wraps the
    module. A plan with stages is advanced at the beginning of each epoch, or of each batch where
    its stages end at optimizer steps (`trainer.global_step`); an optimizer that lacks a group is
    given one, and so are its schedulers. `configure_optimizers` may also take its groups from
    `callback.applied.parameter_groups(lr=...)`.
    """

    def __init__(
        self,
        plan: Plan | Sequence[str],
        *,
        prove_every: int = 0,
        against: str | Path | None = None,
        record: str | Path | None = None,
    ) -> None:
        """Take a plan, or the globs of what is frozen throughout.

        `prove_every` optimizer steps a `Proof` looks at the frozen part (0: never), held against
        the checkpoint `against`; its record is written to `record` when the fit ends.
        """
        super().__init__()
        self.plan = plan if isinstance(plan, Plan) else Plan(frozen=tuple(plan))
        self.applied: AppliedPlan | None = None
        self.proof: Proof | None = None
        self._prove_every = prove_every
        self._against = against
        self._record = record
        self._resumed: dict[str, Any] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Freeze, once."""
        del trainer
        if stage == "fit" and self.applied is None:
            self.applied = AppliedPlan(self.plan, pl_module)
            if self._resumed:
                self.applied.load_state_dict(self._resumed)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take out what the optimizers still hold of the frozen part, and begin the proof.

        Raises:
            ValueError: the plan tunes, and the optimizer was not made of its groups.
        """
        del pl_module
        assert self.applied is not None, "Lightning calls setup first"
        if not self.applied.rates_hold:
            raise ValueError(
                "the plan tunes parts, and configure_optimizers knows nothing of it; make the "
                "optimizer of callback.applied.parameter_groups(lr=...)"
            )
        for optimizer in trainer.optimizers:
            if self.applied.frozen is not None:
                self.applied.frozen.prune(optimizer)
        if self._prove_every and self.applied.frozen is not None:
            frozen, every = self.applied.frozen, self._prove_every
            self.proof = Proof(frozen, every=every, against=self._against)
            self.proof.watch(*trainer.optimizers)
            self.proof.begin()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Enter the stage of the epoch."""
        del pl_module
        self._advance(trainer)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Enter the stage of the optimizer step."""
        del pl_module, batch, batch_idx
        if any(stage.until_step is not None for stage in self.plan.stages):
            self._advance(trainer)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Sign the proof off, and write its record."""
        del trainer, pl_module
        if self.proof is None:
            return
        record = self.proof.finish()
        self.proof = None
        if self._record is not None:
            record.save(self._record)

    def state_dict(self) -> dict[str, Any]:
        """Return the stage, for the checkpoint."""
        return self.applied.state_dict() if self.applied is not None else {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Enter the saved stage, before the optimizer's state is restored."""
        self._resumed = state_dict
        if self.applied is not None and state_dict:
            self.applied.load_state_dict(state_dict)

    def _advance(self, trainer: pl.Trainer) -> None:
        assert self.applied is not None, "Lightning calls setup first"
        schedulers = [each.scheduler for each in trainer.lr_scheduler_configs]
        is_new = self.applied.advance(
            optimizer=trainer.optimizers[0],  # what is thawed joins the first of several
            scheduler=schedulers,
            epoch=trainer.current_epoch,
            step=trainer.global_step,
        )
        if is_new and self.proof is not None:
            self.proof.follow(self.applied.frozen)
