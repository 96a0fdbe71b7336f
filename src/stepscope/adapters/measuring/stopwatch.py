"""Times the phases of each optimizer step of a program."""

import time
from collections.abc import Callable
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from stepscope.evidence.savings import Step


def now() -> float:
    """Return the time in seconds, after all that the GPU was given to do."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.synchronize()
    return time.perf_counter()


class Stopwatch:
    """Calls `stepped` after each step of the first optimizer that takes one.

    What backward calls take is added up, as in gradient accumulation; other optimizers' steps
    count as forward, as does the loading of data. The optimizer's time is what comes after the
    last backward: Lightning runs forward and backward in a closure inside `step`.
    """

    def __init__(self, stepped: Callable[[Optimizer, Step], None]) -> None:
        self._stepped = stepped
        self._paced: Optimizer | None = None
        self._began = now()
        self._backward = 0.0
        self._step_began = 0.0
        self._backward_ended = 0.0
        register_optimizer_step_pre_hook(self._before)
        register_optimizer_step_post_hook(self._after)
        run = torch.autograd.backward

        def backward(*args: Any, **kwargs: Any) -> None:
            began = now()
            run(*args, **kwargs)
            self._backward_ended = now()
            self._backward += self._backward_ended - began

        torch.autograd.backward = backward  # Tensor.backward looks it up there

    def _before(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        self._paced = self._paced or optimizer
        if optimizer is self._paced:
            self._step_began = now()

    def _after(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        del args, kwargs
        if optimizer is not self._paced:
            return
        ended = now()
        stepping = ended - max(self._step_began, self._backward_ended)
        step = Step(
            forward=ended - self._began - self._backward - stepping,
            backward=self._backward,
            optimizer=stepping,
        )
        self._stepped(optimizer, step)
        self._backward = 0.0
        self._began = now()
