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

    def module_raised(
        self, module: torch.nn.Module, given: tuple[object, ...], exception: Exception
    ) -> None:
        """An exception leaves the forward of a module, outermost or not, in a sampled step.

        `given` are the arguments of the call. Told of each module on the way out, innermost first.
        """

    def module_recovered(self, module: torch.nn.Module) -> None:
        """A module that has raised in this sampled step has been called again, and returned."""

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """Before each backward of a step that is sampled; there may be several."""

    def awaited_backward(self) -> None:
        """Before each backward of any other step, as long as `notes.awaits_backward`."""

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Before the step of an optimizer, in a step that is sampled."""

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:
        """After it; parameters have moved. `run.step` is still the index of this step."""

    def step_over(self) -> None:
        """After a step of the run that is sampled, or in which `notes.stir()` was called."""

    def ended(self) -> None:
        """The run ends; the last that can be noted."""
