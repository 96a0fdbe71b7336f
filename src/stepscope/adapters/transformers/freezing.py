"""Freezing under the Trainer of Transformers."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import transformers
from torch import nn

from stepscope.freezing.plans import AppliedPlan, Plan
from stepscope.freezing.proof import Proof


class FreezeCallback(transformers.TrainerCallback):
    """Holds a model to a plan of freezing.

    ```python
    callback = FreezeCallback(model, Plan(frozen=("bert",)))
    Trainer(model, arguments, train_dataset=data, callbacks=[callback]).train()
    ```

    The model is frozen when the callback is made: the Trainer makes its optimizer later, of what
    requires a gradient. A plan that tunes, or that is resumed at a later stage, needs an optimizer
    with the groups of the plan: `optimizers=(AdamW(callback.applied.parameter_groups(lr=1e-4)),
    None)`. Stages are entered at the beginning of the step that they end before.
    """

    def __init__(
        self,
        model: nn.Module,
        plan: Plan | Sequence[str],
        *,
        resume_from: str | Path | None = None,
        prove_every: int = 0,
        against: str | Path | None = None,
        record: str | Path | None = None,
    ) -> None:
        """Take a plan, or the globs of what is frozen throughout.

        `resume_from` is the checkpoint folder that the Trainer will resume from, if any: the plan
        begins in its stage, so that the optimizer has the parameters that were saved.
        `prove_every` optimizer steps a `Proof` looks at the frozen part (0: never), held against
        the checkpoint `against`; its record is written to `record` when the training ends.
        """
        self.plan = plan if isinstance(plan, Plan) else Plan(frozen=tuple(plan))
        self.applied = AppliedPlan(self.plan, model)
        if resume_from is not None:
            self.applied.load_state_dict({"stage": _stage_of(self.plan, Path(resume_from))})
        self.proof: Proof | None = None
        self._prove_every = prove_every
        self._against = against
        self._record = record

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Take out what an optimizer made elsewhere still holds, and begin the proof.

        Raises:
            ValueError: the plan tunes, and the optimizer was not made of its groups.
        """
        del args, state, control
        if not self.applied.rates_hold:
            raise ValueError(
                "the plan tunes parts, and the Trainer's own optimizer knows nothing of it; hand "
                "the Trainer optimizers=(AdamW(callback.applied.parameter_groups(lr=...)), None)"
            )
        frozen = self.applied.frozen
        if frozen is None:
            return
        frozen.prune(kwargs["optimizer"])
        if self._prove_every:
            self.proof = Proof(frozen, every=self._prove_every, against=self._against)
            self.proof.watch(kwargs["optimizer"])
            self.proof.begin()

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Enter the stage of the epoch and optimizer step."""
        del args, control
        is_new = self.applied.advance(
            optimizer=kwargs["optimizer"],
            scheduler=kwargs["lr_scheduler"],
            epoch=int(state.epoch or 0),
            step=state.global_step,
        )
        if is_new and self.proof is not None:
            self.proof.follow(self.applied.frozen)

    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Sign the proof off, and write its record."""
        del args, state, control, kwargs
        if self.proof is None:
            return
        record = self.proof.finish()
        self.proof = None
        if self._record is not None:
            record.save(self._record)


def _stage_of(plan: Plan, folder: Path) -> int:
    """Return the stage that a run was in when it saved a checkpoint.

    Raises:
        ValueError: the folder holds no state of a Trainer.
    """
    file = folder / "trainer_state.json"
    if not file.is_file():
        raise ValueError(f"{folder} holds no trainer_state.json; expected a folder of the Trainer")
    saved = transformers.TrainerState.load_from_json(str(file))
    return plan.stage_at(int(saved.epoch or 0), saved.global_step)
