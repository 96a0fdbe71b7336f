"""The loss that training goes by, and the terms that models hand out or loops hold."""

import torch

from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.loss_terms.named_losses import in_callers, in_output, is_total

SUBJECT = "loss"
TOTAL = "total"


class LossSampler(Sampler):
    """Notes `total`, the mean over the backwards of a step, and each named term that came last."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._total: torch.Tensor | None = None  # sum of what was backed from since the last step
        self._backwards = 0

    def model_returned(self, module: torch.nn.Module, output: object) -> None:  # noqa: ARG002
        """Note the scalars of a dictionary of losses."""
        for name, tensor in in_output(output):
            if "loss" in name.lower() and tensor.numel() == 1 and name != TOTAL:
                self.notes.number(SUBJECT, name, tensor)

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """Keep the number, not the graph, and note the terms that the loop has made of a loss."""
        for (name, tensor), _ in in_callers():
            if tensor.grad_fn is not None and not is_total(name):
                self.notes.number(SUBJECT, name, tensor)
        for root in roots:
            if root.numel() == 1:
                number = root.detach().double().reshape(())
                before = self._total
                self._total = (
                    number.clone() if before is None else before + number.to(before.device)
                )
                self._backwards += 1

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Note the total of what was accumulated."""
        if self._total is not None:
            self.notes.number(SUBJECT, TOTAL, self._total / self._backwards)
        self._total, self._backwards = None, 0

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Forget what a closure computed when it was called again."""
        self._total, self._backwards = None, 0
