"""Notices exceptions that leave a forward while the program goes on."""

import sys
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch

from stepscope.core import Evidence, Place
from stepscope.evidence.losses import SwallowedException, SwallowedExceptions
from stepscope.probes.handlers import Line, catching_line, lines_out, lines_to
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import LIBRARY, PROGRAM, kind_of, kind_of_file, place_of
from stepscope.probes.value_tracing.arguments import tensors_in


@dataclass(slots=True)
class _Raised:
    module: str
    instance: weakref.ref[torch.nn.Module]
    kinds: tuple[str, ...]  # the exception's class and those above it
    message: str
    raised: Line | None
    out: tuple[Line, ...]  # lines through which it leaves, innermost first
    identity: int
    step: int
    trained: bool
    own_class: bool
    retried: bool = False  # the same module ran well afterwards, in the same step


class ExceptionsProbe(Probe):
    """An exception counts once something later happens in the program."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._flying: _Raised | None = None
        self._swallowed: list[_Raised] = []
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
        if self._flying is not None and self._flying.identity in _chain(exception):
            return  # on its way out, through a module further out
        self._landed()
        out = tuple(lines_out())
        self._flying = _Raised(
            module=self.run.names.module(module),
            instance=weakref.ref(module),
            kinds=tuple(kind.__name__ for kind in type(exception).__mro__),
            message=str(exception),
            raised=_deepest((*reversed(out), *lines_to(exception.__traceback__))),
            out=out,
            identity=id(exception),
            step=self.run.step,
            trained=self.run.grad_enabled and (self._inputs_trained[-1] or self._is_held(module)),
            own_class=_is_own(type(exception)),
        )

    def _is_held(self, module: torch.nn.Module) -> bool:
        held = self.run.held
        return any(id(parameter) in held for parameter in module.parameters())

    def _landed(self) -> None:
        """The program goes on: whatever was on its way out has been caught."""
        if self._flying is not None:
            self._swallowed.append(self._flying)
            self._flying = None

    def evidence(self) -> Iterator[Evidence]:
        """Give the exceptions that ended nothing."""
        if not self._calls:
            return
        alike: dict[tuple[str, str, Line | None], list[_Raised]] = {}
        for each in self._swallowed:
            alike.setdefault((each.module, each.kinds[0], each.raised), []).append(each)
        yield SwallowedExceptions(
            exceptions=tuple(_joined(group) for group in alike.values()), module_calls=self._calls
        )


def _joined(group: list[_Raised]) -> SwallowedException:
    first = group[0]
    caught = catching_line(first.out, first.kinds)
    return SwallowedException(
        module=first.module,
        kind=first.kinds[0],
        message=first.message,
        raised_at=place_of(*first.raised) if first.raised else Place(module=first.module),
        caught_at=place_of(*caught) if caught else None,
        steps=tuple(sorted({each.step for each in group})),
        retried=all(each.retried for each in group),
        trained=any(each.trained for each in group),
        own_class=first.own_class,
    )


def _is_own(kind: type) -> bool:
    """Tell whether the program defines a class itself, as it does for its own control flow."""
    file = getattr(sys.modules.get(kind.__module__), "__file__", None)
    return file is not None and kind_of_file(file) == PROGRAM


def _chain(exception: BaseException) -> set[int]:
    """Return the identities of an exception and of those it was raised in answer to."""
    seen: set[int] = set()
    waiting: list[BaseException | None] = [exception]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            waiting += [each.__cause__, each.__context__]
    return seen


def _deepest(lines: tuple[Line, ...]) -> Line | None:
    def last(kind: int) -> Line | None:
        return next((line for line in reversed(lines) if kind_of(line[0]) >= kind), None)

    return last(PROGRAM) or last(LIBRARY)
