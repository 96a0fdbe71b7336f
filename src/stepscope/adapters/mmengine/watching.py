"""A training of the Runner under watch."""

import math
import weakref
from collections.abc import Mapping
from numbers import Real
from typing import Any, Unpack

from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
from mmengine.registry import HOOKS
from torch import Tensor

from stepscope.adapters.attached import Attached
from stepscope.adapters.harmless import harmless
from stepscope.adapters.how import How, settle
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.unwrapping import models_of, optimizers_of
from stepscope.core.verdict import Report


@HOOKS.register_module()
class WatchHook(Hook):  # type: ignore[misc] # mmengine has no types
    """Watches each training: findings are said when they become true, a verdict at its end.

    ```python
    custom_hooks = [dict(type="WatchHook", on_error="stop")]
    ```

    The model gives parameters their names. Epochs, planned steps, losses and what validation
    measures are taken from the Runner. `on_error="stop"` sets `train_loop.stop_training`, which
    an `EpochBasedTrainLoop` heeds at the end of an epoch. Findings go to TensorBoard, W&B and
    MLflow too, where its visualizer logs there. The Runner tells no hook of an exception: a
    training that raised is judged when the next one begins, or when the program ends.
    """

    priority = "VERY_LOW"  # after those that validate, log and save

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
    def before_train(self, runner: Any) -> None:
        """Begin, and say how long it is to go, and whether it began earlier."""
        held = weakref.ref(runner)

        def stop(_: int) -> None:
            if (alive := held()) is not None:
                alive.train_loop.stop_training = True

        wrapper = runner.optim_wrapper
        several = hasattr(wrapper, "optim_wrappers")  # an OptimWrapperDict: the model steps
        self._attached.begin(
            models_of(runner.model),
            optimizers_of([dict(wrapper.optim_wrappers) if several else wrapper]),
            stop=stop,
            ranks=Ranks.here(get_rank(), get_world_size()),
            hears_of_errors=False,
        )
        accumulation = 1 if several else wrapper._accumulative_counts
        if runner.iter:
            self._attached.resumed(math.ceil(runner.iter / accumulation))
        if not several:
            left = runner.max_iters - runner.iter
            steps = math.ceil(left / accumulation)
            self._attached.plan(steps, accumulation, "Runner.max_iters")

    @harmless
    def before_train_epoch(self, runner: Any) -> None:
        """Begin an epoch."""
        self._attached.epoch(runner.epoch, runner.max_epochs)

    @harmless
    def after_train_iter(
        self,
        runner: Any,
        batch_idx: int,
        data_batch: Any = None,
        outputs: Mapping[str, Any] | None = None,
    ) -> None:
        """Take the losses."""
        del runner, batch_idx, data_batch
        if self._attached.is_sampled and outputs is not None:
            self._log(outputs)

    @harmless
    def after_val_epoch(self, runner: Any, metrics: Mapping[str, Any] | None = None) -> None:
        """Take what was measured."""
        del runner
        if metrics is not None:
            self._log(metrics)

    @harmless
    def after_train(self, runner: Any) -> None:
        """Judge."""
        del runner
        self._attached.end()

    def _log(self, numbers: Mapping[str, Any]) -> None:
        self._attached.log(
            {
                name: value if isinstance(value, Tensor) else float(value)
                for name, value in numbers.items()
                if isinstance(value, Real) or (isinstance(value, Tensor) and value.numel() == 1)
            }
        )
