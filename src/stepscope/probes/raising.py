"""An exception on its way out of a forward: what can be told of it, and who takes it."""

import sys
import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from stepscope.core import Place
from stepscope.evidence.losses import SwallowedException
from stepscope.probes.handlers import Line, catching_line, lines_out, lines_to
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import LIBRARY, PROGRAM, kind_of, kind_of_file, place_of


@dataclass(slots=True)
class Raised:
    """An exception where it left its first module."""

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

    @property
    def key(self) -> tuple[str, str, Line | None]:
        """What makes two of them alike."""
        return self.module, self.kinds[0], self.raised

    def led_to(self, exception: BaseException) -> bool:
        """Tell whether an exception is this one, or was raised in answer to it."""
        return self.identity in _chain(exception)


def raised_by(
    run: LiveRun, module: torch.nn.Module, exception: BaseException, *, is_given_trained: bool
) -> Raised:
    """Take down what can be told while it is on its way: who takes it is not known yet.

    `is_given_trained` tells whether an argument of the call requires a gradient.
    """
    out = tuple(lines_out())
    held = run.held
    return Raised(
        module=run.names.module(module),
        instance=weakref.ref(module),
        kinds=tuple(kind.__name__ for kind in type(exception).__mro__),
        message=str(exception),
        raised=_deepest((*reversed(out), *lines_to(exception.__traceback__))),
        out=out,
        identity=id(exception),
        step=run.step,
        trained=run.grad_enabled
        and (is_given_trained or any(id(each) in held for each in module.parameters())),
        own_class=_is_own(type(exception)),
    )


def joined(group: Sequence[Raised]) -> SwallowedException:
    """Say in one of those that are alike."""
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
