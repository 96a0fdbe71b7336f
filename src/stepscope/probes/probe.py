"""The moments at which a probe may look at a live run."""

from collections.abc import Iterator
from typing import Any

import torch

from stepscope.core import Evidence
from stepscope.probes.live_run import LiveRun


class Probe:
    """Reads one subject from a live run, changing nothing in it.

    A probe overrides the moments it needs; those it leaves alone cost nothing. While a moment is
    handled, gradients are off, torch-function modes are off, and no other moment arises.
    Live objects are held by weak references only.
    """

    def __init__(self, run: LiveRun) -> None:
        """Install patches through `run.patch`; the program has not begun."""
        self.run = run

    def module_called(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:
        """Before the forward of a module, inside a recorded step."""

    def module_returned(self, module: torch.nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """Its forward has ended."""

    def module_raised(self, module: torch.nn.Module, exception: BaseException) -> None:
        """Its forward has raised; the exception is on its way out."""

    def step_opened(self) -> None:
        """The work that leads to the next optimizer step begins."""

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """Before a backward, with the graph whole. Backwards inside backwards do not count."""

    def backward_returned(self, roots: tuple[torch.Tensor, ...]) -> None:
        """After it; gradients are there."""

    def step_called(self, optimizer: torch.optim.Optimizer) -> None:
        """Before `optimizer.step`; a closure has not run yet."""

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """The gradients that the step will use are there: after a closure, where there is one."""

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:
        """Parameters have moved. `run.step` is still the index of this step."""

    def evidence(self) -> Iterator[Evidence]:
        """Say what was seen. Called once, when the recording has ended."""
        return iter(())
