"""Freezing under the Runner of MMEngine."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mmengine.hooks import Hook
from mmengine.registry import HOOKS

from stepscope.freezing.plans import AppliedPlan, Plan
from stepscope.freezing.proof import Proof

STATE = "stepscope_freeze"


@HOOKS.register_module()
class FreezeHook(Hook):  # type: ignore[misc] # mmengine has no types
    """Holds a model to a plan of freezing.

    ```python
    custom_hooks = [dict(type="FreezeHook", frozen=["backbone"])]
    ```

    The Runner has made its optimizer when hooks first run: the frozen parameters are taken out of
    it, with their state. Stages are entered at the beginning of an epoch or iteration. MMEngine
    keeps one group for each parameter under `paramwise_cfg`: what is thawed goes back to its own.
    """

    priority = "VERY_HIGH"  # before what looks at the optimizer

    def __init__(
        self,
        plan: Plan | None = None,
        *,
        frozen: Sequence[str] = (),
        prove_every: int = 0,
        against: str | Path | None = None,
        record: str | Path | None = None,
    ) -> None:
        """Take a plan, or the globs of what is frozen throughout.

        `prove_every` iterations a `Proof` looks at the frozen part (0: never), held against the
        checkpoint `against`; its record is written to `record` after the run.
        """
        self.plan = plan if plan is not None else Plan(frozen=tuple(frozen))
        self.applied: AppliedPlan | None = None
        self.proof: Proof | None = None
        self._prove_every = prove_every
        self._against = against
        self._record = record

    def before_run(self, runner: Any) -> None:
        """Freeze, and take the frozen parameters out of the optimizer.

        Raises:
            ValueError: the plan tunes: multipliers are the work of `paramwise_cfg` here.
            TypeError: the model is wrapped in DistributedDataParallel already.
        """
        if self.plan.tuned:
            raise ValueError(
                "MMEngine takes multipliers from optim_wrapper.paramwise_cfg, which has made the "
                "optimizer already; leave `tuned` out of the plan"
            )
        self.applied = AppliedPlan(self.plan, runner.model)
        self._prune(runner)

    def before_save_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Put the stage into the checkpoint."""
        del runner
        assert self.applied is not None, "the run has begun"
        checkpoint[STATE] = self.applied.state_dict()

    def after_load_checkpoint(self, runner: Any, checkpoint: dict[str, Any]) -> None:
        """Enter the saved stage, before the optimizer's state is restored."""
        if runner._resume and STATE in checkpoint and self.applied is not None:
            self.applied.load_state_dict(checkpoint[STATE])
            self._prune(runner)

    def before_train(self, runner: Any) -> None:
        """Begin the proof: weights and state are loaded."""
        assert self.applied is not None, "the run has begun"
        if self._prove_every and self.applied.frozen is not None:
            frozen, every = self.applied.frozen, self._prove_every
            self.proof = Proof(frozen, every=every, against=self._against)
            self.proof.watch(runner.optim_wrapper.optimizer)
            self.proof.begin()

    def before_train_iter(self, runner: Any, batch_idx: int, data_batch: Any = None) -> None:
        """Enter the stage of the epoch and iteration."""
        del batch_idx, data_batch
        assert self.applied is not None, "the run has begun"
        optimizer = runner.optim_wrapper.optimizer
        if self.applied.advance(optimizer=optimizer, epoch=runner.epoch, step=runner.iter):
            self._follow()

    def after_train(self, runner: Any) -> None:
        """Sign the proof off, and write its record."""
        del runner
        if self.proof is None:
            return
        record = self.proof.finish()
        self.proof = None
        if self._record is not None:
            record.save(self._record)

    def _prune(self, runner: Any) -> None:
        assert self.applied is not None, "the plan is applied before"
        if self.applied.frozen is not None:
            self.applied.frozen.prune(runner.optim_wrapper.optimizer)

    def _follow(self) -> None:
        assert self.applied is not None, "the plan is applied before"
        if self.proof is not None:
            self.proof.follow(self.applied.frozen)
