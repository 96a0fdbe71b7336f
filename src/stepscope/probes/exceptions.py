"""Notices exceptions that leave a forward while the program goes on."""

from collections.abc import Iterator
from typing import Any

import torch

from stepscope.core import Evidence
from stepscope.evidence.losses import SwallowedExceptions
from stepscope.probes.handlers import Line
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.raising import Raised, joined, raised_by
from stepscope.probes.value_tracing.arguments import tensors_in


class ExceptionsProbe(Probe):
    """An exception counts once something later happens in the program."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._flying: Raised | None = None
        self._swallowed: list[Raised] = []
        self._calls = 0
        self._inputs_trained: list[bool] = []  # of the running forwards, outermost first

    def module_called(self, module: torch.nn.Module, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        """Count the forward; whatever was on its way out has been caught."""
        del self._inputs_trained[len(self.run.modules) - 1 :]
        self._inputs_trained.append(
            any(t.requires_grad for t in tensors_in((*args, *kwargs.values())))
        )
        if not self.run.in_backward:
            self._calls += 1
            self._landed()

    def module_returned(
        self,
        module: torch.nn.Module,
        args: Any,  # noqa: ARG002
        kwargs: Any,  # noqa: ARG002
        output: Any,  # noqa: ARG002
    ) -> None:
        """Note a module that runs well after it raised."""
        self._landed()
        for each in self._swallowed:
            each.retried |= each.step == self.run.step and each.instance() is module

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:  # noqa: ARG002
        """The program goes on."""
        self._landed()

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """The program goes on."""
        self._landed()

    def module_raised(self, module: torch.nn.Module, exception: BaseException) -> None:
        """Remember where an exception began; it may yet end the program."""
        if not isinstance(exception, Exception) or self.run.in_backward:
            return
        if self._flying is not None and self._flying.led_to(exception):
            return  # on its way out, through a module further out
        self._landed()
        self._flying = raised_by(
            self.run, module, exception, is_given_trained=self._inputs_trained[-1]
        )

    def _landed(self) -> None:
        """The program goes on: whatever was on its way out has been caught."""
        if self._flying is not None:
            self._swallowed.append(self._flying)
            self._flying = None

    def evidence(self) -> Iterator[Evidence]:
        """Give the exceptions that ended nothing."""
        if not self._calls:
            return
        alike: dict[tuple[str, str, Line | None], list[Raised]] = {}
        for each in self._swallowed:
            alike.setdefault(each.key, []).append(each)
        yield SwallowedExceptions(
            exceptions=tuple(joined(group) for group in alike.values()), module_calls=self._calls
        )
