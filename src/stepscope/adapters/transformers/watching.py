"""A training of the Trainer under watch."""

import math
from typing import Any, Unpack

import transformers

from stepscope.adapters.attached import Attached
from stepscope.adapters.harmless import harmless
from stepscope.adapters.how import How, settle
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.unwrapping import models_of, optimizers_of
from stepscope.core.verdict import Report

ROUNDING = 1e-6  # of `state.epoch`, a sum of fractions


class WatchCallback(transformers.TrainerCallback):
    """Watches each training: findings are said when they become true, a verdict at its end.

    ```python
    watch = WatchCallback(on_error="stop")
    Trainer(model, arguments, train_dataset=data, callbacks=[watch]).train()
    print(watch.report.verdict)
    ```

    The model gives parameters their names. Epochs, planned steps, and all that is logged are taken
    from the Trainer. `on_error="stop"` sets `control.should_training_stop`. Findings go to
    TensorBoard, W&B and MLflow too, where the Trainer logs there. The Trainer tells no callback of
    an exception: a training that raised is judged when the next one begins, or when the program
    ends.
    """

    def __init__(self, **how: Unpack[How]) -> None:
        """Take the keywords of `How`.

        Raises:
            ValueError: one of them, or stepscope.toml, holds what stepscope does not know.
        """
        self._attached = Attached(settle(**how))

    @property
    def report(self) -> Report | None:
        """What came of the last training. None while it goes, and under `stepscope run`."""
        return self._attached.report

    @property
    def stopped(self) -> bool:
        """A finding has stopped the training."""
        return self._attached.stopped

    @harmless
    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin, and say how long it is to go, and whether it began earlier."""

        def stop(_: int) -> None:
            control.should_training_stop = True

        self._attached.begin(
            models_of(kwargs["model"]),
            optimizers_of([kwargs["optimizer"]]),
            stop=stop,
            ranks=Ranks.here(args.process_index, args.world_size),
            hears_of_errors=False,
        )
        if state.global_step:
            self._attached.resumed(state.global_step)
        self._attached.plan(
            state.max_steps - state.global_step,
            args.gradient_accumulation_steps,
            "TrainerState.max_steps",
        )

    @harmless
    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Begin an epoch, or go on with one."""
        del args, control, kwargs
        number = math.floor((state.epoch or 0.0) + ROUNDING)
        self._attached.epoch(number, state.num_train_epochs)

    @harmless
    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Take what is logged, evaluations included."""
        del args, state, control, kwargs
        self._attached.log(
            {name: float(value) for name, value in logs.items() if isinstance(value, int | float)}
        )

    @harmless
    def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Judge."""
        del args, state, control, kwargs
        self._attached.end()
