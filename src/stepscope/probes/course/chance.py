"""Holds each cross-entropy against the logarithm of the number of its candidates."""

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from stepscope.core import Place
from stepscope.evidence.course.chance import CrossEntropyBegan
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.putting_back import put_back
from stepscope.probes.source_lines import running_line

SUBJECT = "chance"
ROWS = 64  # of the logits, that are looked at
REDUCTION = 6  # its place among the arguments
MOST = 16  # lines


class ChanceSampler(Sampler):
    """Watches `cross_entropy` until somebody compiles, who would compile the watching with it."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._lines: dict[Place, int] = {}
        self._original = functional.cross_entropy
        self._observed = self._around(self._original)
        functional.cross_entropy = self._observed
        run.on_end(self._leave)
        run.patch(torch, "compile", self._before_compiling, is_inert=True)
        run.patch(torch.jit, "script", self._before_scripting, is_inert=True)

    def _leave(self) -> None:
        put_back(functional, "cross_entropy", self._observed, self._original)

    def _before_compiling(self, compiling: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            self._leave()
            return compiling(*args, **kwargs)

        return observed

    def _before_scripting(self, scripting: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, _frames_up: int = 0, **kwargs: Any) -> Any:
            self._leave()
            # It looks for names in the frame of its caller, which is one further away now.
            return scripting(*args, _frames_up=_frames_up + 1, **kwargs)

        return observed

    def _around(self, function: Callable[..., Tensor]) -> Callable[..., Tensor]:
        @functools.wraps(function)
        def observed(*args: Any, **kwargs: Any) -> Tensor:
            value = function(*args, **kwargs)
            if (
                not torch.compiler.is_compiling()  # a constant there: nothing of this is compiled
                and self.notes.is_sampled
                and not self.run.over
                and isinstance(value, Tensor)
                and value.requires_grad
                and self._lookout.is_open()
            ):
                with self._lookout.looking():
                    self._look(_given(args, kwargs), value)
            return value

        return observed

    def _look(self, given: tuple[Tensor, Tensor, str], value: Tensor) -> None:
        logits, target, reduction = given
        if (
            reduction != "mean"
            or value.numel() != 1
            or logits.dim() < 2  # noqa: PLR2004 - of a single row N is unclear
            or target.is_floating_point()  # a soft target may itself be close to chance
        ):
            return
        present = (logits.detach()[:ROWS] != -torch.inf).sum(1).double()
        fewest, most = torch.aminmax(present)
        same = torch.where(fewest == most, most, torch.nan)
        at = running_line()
        if at not in self._lines:
            if len(self._lines) == MOST:
                return
            self._lines[at] = len(self._lines)
            count = logits.shape[1]
            self.notes.happen(CrossEntropyBegan(number=self._lines[at], candidates=count, at=at))
        name = self._lines[at]
        self.notes.number(SUBJECT, f"{name}.ratio", value.detach().double() / same.log())
        self.notes.number(SUBJECT, f"{name}.candidates", same)


def _given(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Tensor, Tensor, str]:
    """Return logits, target and reduction of a call: binding a signature would take longer."""
    logits = args[0] if args else kwargs["input"]
    target = args[1] if len(args) > 1 else kwargs["target"]
    reduction = args[REDUCTION] if len(args) > REDUCTION else kwargs.get("reduction", "mean")
    return logits, target, reduction
