"""Looks whether the gradients of a step are still there when the next one collects its own."""

import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.optim import optimizer as optimizer_hooks

from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.gradient_norms import largest_on_device
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

SUBJECT = "carried gradients"
SAMPLED = 8  # parameters of an optimizer
MOST = 32  # optimizers that are looked at


@dataclass(slots=True)
class _Case:
    """One optimizer between a sampled step and its next."""

    watched: list["weakref.ref[torch.Tensor]"]
    used: torch.Tensor  # largest elements of their gradients, on the device
    carried: torch.Tensor | None = None  # one truth value, after the first backward


class CarriedGradientsSampler(Sampler):
    """Opens a case at a sampled step, and closes it at the next step of that optimizer."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._open: dict[int, _Case] = {}
        self._closed: dict[int, torch.Tensor] = {}  # to be noted in the next sampled step
        handle = optimizer_hooks.register_optimizer_step_pre_hook(self._before_step)
        run.on_end(handle.remove)

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:  # noqa: ARG002
        """See what the backward finds."""
        self.awaited_backward()

    def awaited_backward(self) -> None:
        """See it in the steps between, too."""
        for case in self._open.values():
            _enter(case)

    def _before_step(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        if self._open and self._lookout.is_open():
            index = self.run.index(optimizer)
            case = self._open.pop(index, None)
            if case is not None and case.carried is not None:
                self._closed[index] = case.carried
            self.notes.awaits_backward = bool(self._open)

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Note the case before, and open the next. Gradients are as the step uses them."""
        index = self.run.index(optimizer)
        if (carried := self._closed.pop(index, None)) is not None:
            self.notes.number(SUBJECT, str(index), carried)
        if index >= MOST:
            return
        held = [p for group in optimizer.param_groups for p in group["params"] if _holds(p)]
        spread = held[:: max(1, len(held) // SAMPLED)][:SAMPLED]
        used = _largest(spread)
        if used is not None:
            self._open[index] = _Case([weakref.ref(each) for each in spread], used)
            self.notes.awaits_backward = True


def _enter(case: _Case) -> None:
    """See what a backward finds."""
    tensors = [each for reference in case.watched if (each := reference()) is not None]
    now = _largest([each for each in tensors if _holds(each)])
    if now is None or now.shape != case.used.shape:  # somebody has set gradients to None
        case.carried = torch.zeros((), device=case.used.device)
    elif case.carried is None:
        case.carried = ((now == case.used).all() & (now != 0).any()).double()
    else:
        case.carried = case.carried * (now != 0).any()


def _holds(parameter: torch.Tensor) -> bool:
    gradient = parameter.grad
    return gradient is not None and gradient.numel() > 0 and gradient.layout is torch.strided


def _largest(parameters: Sequence[torch.Tensor]) -> torch.Tensor | None:
    """Return the largest elements of their gradients, on the device of the first."""
    found = largest_on_device([each.grad for each in parameters])
    if not found or len(found) != len(parameters):
        return None
    largest = [each.double().reshape(()) for each in found.values()]
    return torch.stack([each.to(largest[0].device) for each in largest])
