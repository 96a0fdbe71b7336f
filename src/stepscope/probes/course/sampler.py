"""The moments at which a sampler may look at a run."""

import torch

from stepscope.probes.course.notes import Notes
from stepscope.probes.live_run import LiveRun


class Sampler:
    """Notes one subject for the whole of a run, changing nothing in it.

    A sampler overrides the moments it needs; those it leaves alone cost nothing. What happens
    between sampled steps, and is not a moment here, it learns through `run.patch`, at a price that
    does not grow with the model. Live objects are held by weak references only.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        """Install patches; the program has not begun. `run.step` counts optimizer steps."""
        self.run = run
        self.notes = notes

    def model_returned(self, module: torch.nn.Module, output: object) -> None:
        """After the forward of an outermost module, in a step that is sampled."""

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """Before each backward of a step that is sampled; there may be several."""

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Before the step of an optimizer, in a step that is sampled."""

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:
        """After it; parameters have moved. `run.step` is still the index of this step."""

    def step_over(self) -> None:
        """After each step of the run, sampled or not. Must cost nothing that grows."""

    def ended(self) -> None:
        """The run ends; the last that can be noted."""
