"""Which gradients a clipping by their common norm couples, and which one makes a scaler skip."""

import math
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils import clip_grad
from torch.optim import Optimizer

from stepscope.core import Evidence, Place
from stepscope.evidence.clipping import Clip, Clips, SkippedStep, SkippedSteps
from stepscope.probes.gradient_norms import norms_on_device, read_together, sizes
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.probe import Probe
from stepscope.probes.schedules import unwrapped
from stepscope.probes.source_lines import PROGRAM, running_line


@dataclass(slots=True)
class _Call:
    """One clipping; its numbers are read when a step waits for the device anyway."""

    step: int
    max_norm: float
    order: float  # of the norms: 2 is the Euclidean one
    total: torch.Tensor
    parameters: list[weakref.ref[torch.Tensor]]
    norms: list[torch.Tensor]
    at: Place


class ClippingProbe(Probe):
    """Measures each gradient right before all of them are clipped together.

    Every way into torch's clipping leads through the two functions that are watched here: one
    takes the common norm, the other multiplies by it. The sums are left on their device.
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._lookout = Lookout(run, type(self).__name__)
        self._order = 2.0  # of the common norm that was taken last
        self._calls: list[_Call] = []
        self._clips: list[Clip] = []
        self._skipped: list[SkippedStep] = []
        self._step_calls = 0
        run.patch(clip_grad, "_get_total_norm", self._around_norm)
        run.patch(torch.nn.utils, "get_total_norm", self._around_norm)
        run.patch(clip_grad, "_clip_grads_with_norm_", self._around_clipping)
        run.patch(torch.nn.utils, "clip_grads_with_norm_", self._around_clipping)
        run.patch(torch.amp.GradScaler, "step", self._around_scaler_step)

    def _around_norm(self, total: Any) -> Any:
        def observed(tensors: Any, norm_type: float = 2.0, *args: Any, **kwargs: Any) -> Any:
            self._order = float(norm_type)
            return total(tensors, norm_type, *args, **kwargs)

        return observed

    def _around_clipping(self, clip: Any) -> Any:
        def observed(
            parameters: Any, max_norm: float, total_norm: Any, *args: Any, **kwargs: Any
        ) -> Any:
            if not isinstance(parameters, torch.Tensor):
                parameters = list(parameters)  # it may be a generator, to be walked only once
            if self._lookout.is_open():
                with self._lookout.looking():
                    alone = isinstance(parameters, torch.Tensor)
                    self._keep([parameters] if alone else parameters, max_norm, total_norm)
            return clip(parameters, max_norm, total_norm, *args, **kwargs)

        return observed

    def _keep(self, parameters: Sequence[torch.Tensor], max_norm: float, total: Any) -> None:
        holding = [each for each in parameters if each.grad is not None]
        norms = norms_on_device([each.grad for each in holding], self._order)
        is_whole = isinstance(total, torch.Tensor) and not hasattr(total, "to_local")
        if not is_whole or len(norms) < len(holding):
            return  # parts of it lie in other processes, or nowhere
        self._calls.append(
            _Call(
                step=self.run.step,
                max_norm=float(max_norm),
                order=self._order,
                total=total.detach().clone(),
                parameters=[weakref.ref(each) for each in holding],
                norms=[norms[i] for i in range(len(holding))],
                at=running_line(PROGRAM),
            )
        )

    def _around_scaler_step(self, step: Any) -> Any:
        def observed(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            before = self._step_calls
            result = step(scaler, optimizer, *args, **kwargs)
            if self._step_calls == before and scaler.is_enabled() and self._lookout.is_open():
                with self._lookout.looking():
                    self._explain(unwrapped(optimizer))
            return result

        return observed

    def _explain(self, optimizer: Optimizer) -> None:
        """Read the gradients of a step that was left out; the scaler has waited for them."""
        if all(optimizer is not each for each in self.run.optimizers):
            return
        held = [p for group in optimizer.param_groups for p in group["params"]]
        holding = [tensor for tensor in held if tensor.grad is not None]
        read = zip(holding, sizes([tensor.grad for tensor in holding]), strict=True)
        lost = {
            id(tensor): size is not None and not math.isfinite(size.norm) for tensor, size in read
        }
        self._skipped.append(
            SkippedStep(
                step=self.run.step,
                optimizer=self.run.index(optimizer),
                non_finite=tuple(self.run.names.tensor(t) for t in holding if lost[id(t)]),
                finite=tuple(self.run.names.tensor(t) for t in holding if not lost[id(t)]),
                at=running_line(PROGRAM),
            )
        )

    def step_called(self, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Count: a scaler that leaves a step out never makes this call."""
        self._step_calls += 1

    def gradients_ready(self, optimizer: Optimizer) -> None:  # noqa: ARG002
        """Read what was kept: whoever steps waits for the gradients anyway."""
        self._read()

    def _read(self) -> None:
        kept = [number for call in self._calls for number in (call.total, *call.norms)]
        numbers = iter(read_together(kept))
        for call in self._calls:
            total = next(numbers)
            pairs = [(reference(), next(numbers)) for reference in call.parameters]
            named = [(self.run.names.tensor(t), norm) for t, norm in pairs if t is not None]
            self._clips.append(
                Clip(
                    step=call.step,
                    max_norm=call.max_norm,
                    norm_type=call.order,
                    total=total,
                    parameters=tuple(name for name, _ in named),
                    norms=tuple(norm for _, norm in named),
                    at=call.at,
                )
            )
        self._calls.clear()

    def evidence(self) -> Iterator[Evidence]:
        """Yield clippings and skipped steps, where there were any."""
        self._read()
        if self._clips:
            yield Clips(clips=tuple(self._clips))
        if self._skipped:
            yield SkippedSteps(steps=tuple(self._skipped))
