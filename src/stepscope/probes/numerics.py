"""Where a number first stopped being finite, read from what autograd has kept anyway."""

import math
import weakref
from collections import deque
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import nn

from stepscope.core import Evidence, Place
from stepscope.evidence.environment import NonFinite, Numerics
from stepscope.probes.live_run import LiveRun
from stepscope.probes.non_finite_origin import Origin, find_origin, kind_of
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line

_MOST = 8  # entries; a run that has lost its numbers loses them at every step
_CALLS = 100_000  # that are remembered, some 10 MB: a program may infer for ever before a step
_LARGEST_ROOT = 1_000_000  # elements of a backward root that is looked at


class _Call(NamedTuple):
    """One forward: the operations numbered from `start` up to `end` are its own."""

    module: weakref.ref[nn.Module]
    start: int
    end: int


class NumericsProbe(Probe):
    """Looks at losses and gradients; only where one is not finite, it looks for the origin.

    Each module call costs two readings of autograd's operation counter, and each backward waits
    once for its root.
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._found: list[NonFinite] = []
        self._losses = 0
        self._starts: list[int] = []
        self._calls: deque[_Call] = deque(maxlen=_CALLS)
        self._is_hooked = False  # saved tensors are packed: to read them would run the program
        self._is_scaled = False  # a GradScaler is at work, for which inf is part of the game
        self._is_lost = False  # a loss of this step was not finite
        run.patch(torch.amp.GradScaler, "scale", self._around_scale)

    def _around_scale(self, scale: Any) -> Any:
        def observed(scaler: torch.amp.GradScaler, outputs: Any) -> Any:
            self._is_scaled = self._is_scaled or scaler.is_enabled()
            return scale(scaler, outputs)

        return observed

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        """Note the number of the next operation."""
        self._starts.append(torch._C._autograd._get_sequence_nr())
        ignore_is_tracing = False
        if torch._C._autograd._top_saved_tensors_default_hooks(ignore_is_tracing) is not None:
            self._is_hooked = True

    def module_returned(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """Note it again."""
        end = torch._C._autograd._get_sequence_nr()
        self._calls.append(_Call(weakref.ref(module), self._starts.pop(), end))

    def module_raised(self, module: nn.Module, exception: BaseException) -> None:  # noqa: ARG002
        """Forget a forward that did not end."""
        if self._starts:
            self._starts.pop()

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """Look at the loss, and into the graph where the loss is not finite."""
        for root in roots:
            if not root.is_floating_point() or root.is_meta or root.numel() > _LARGEST_ROOT:
                continue
            self._losses += 1
            kind = kind_of(root)
            if kind and not (self._is_scaled and kind == "inf"):
                self._is_lost = True
                self._blame(root, kind)

    def _blame(self, root: torch.Tensor, kind: str) -> None:
        broken = [
            (module, parameter)
            for call in self._calls
            if (module := call.module()) is not None
            for parameter in module.parameters(recurse=False)
            if kind_of(parameter)
        ]
        if broken:
            module, parameter = broken[0]
            self._enter("parameter", kind_of(parameter), module, parameters_finite=False)
            return
        origin = None if self._is_hooked else find_origin(root)
        if origin is None:
            self._enter("loss", kind, None)
            return
        module_of_origin = self._module_of(origin)
        what = "output" if module_of_origin is not None else "loss"
        self._enter(what, origin.kind, module_of_origin, inputs_finite=not origin.is_given)

    def _module_of(self, origin: Origin) -> nn.Module | None:
        """Return the innermost module whose forward made the operation."""
        around = [call for call in self._calls if call.start <= origin.number < call.end]
        innermost = min(around, key=lambda call: call.end - call.start, default=None)
        return innermost.module() if innermost is not None else None

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Look at the gradients, unless the loss or a scaler explains what they are."""
        if self._is_lost or self._is_scaled:
            return
        held = [p for group in optimizer.param_groups for p in group["params"]]
        holding = [tensor for tensor in held if tensor.grad is not None]
        read = zip(holding, self.run.gradient_sizes(holding), strict=True)
        lost = {id(p): size for p, size in read if size and not math.isfinite(size.largest)}
        if not lost:
            return
        kind = "nan" if any(math.isnan(size.largest) for size in lost.values()) else "inf"
        last = next((m for m in self._latest_first() if _owns_any(m, set(lost))), None)
        is_everywhere = len(lost) == len(holding) > 1  # clipping by the norm spreads it as well
        self._enter("gradient", kind, None if is_everywhere else last)

    def _latest_first(self) -> Iterator[nn.Module]:
        for call in reversed(self._calls):
            if (module := call.module()) is not None:
                yield module

    def _enter(
        self,
        what: str,
        kind: str,
        module: nn.Module | None,
        *,
        inputs_finite: bool = True,
        parameters_finite: bool = True,
    ) -> None:
        if len(self._found) < _MOST and all(e.step != self.run.step for e in self._found):
            name = self.run.names.module(module) if module is not None else ""
            self._found.append(
                NonFinite(
                    step=self.run.step,
                    module=name,
                    kind=kind,
                    inputs_finite=inputs_finite,
                    parameters_finite=parameters_finite,
                    what=what,
                    at=Place(module=name) if name else running_line(PROGRAM),
                )
            )

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Forget the calls of this step."""
        self._calls.clear()
        self._is_lost = False

    def evidence(self) -> Iterator[Evidence]:
        """Yield what was found, where any loss was looked at."""
        if self._losses:
            yield Numerics(non_finite=tuple(self._found), losses_read=self._losses)


def _owns_any(module: nn.Module, ids: set[int]) -> bool:
    return any(id(parameter) in ids for parameter in module.parameters(recurse=False))
