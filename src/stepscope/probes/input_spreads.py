"""Whether the inputs of the model differ from sample to sample."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stepscope.core import Evidence
from stepscope.evidence.input_spreads import InputSpread, InputSpreads
from stepscope.probes.fingerprints import digests
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.values import inputs

_MOST_NAMES = 16
_MOST_SAMPLES = 64  # in one step


@dataclass(slots=True)
class _Seen:
    """One input. What was read of it stays on its device until the end."""

    shape: tuple[int, ...] = ()
    samples: int = 0
    told_by: list[Tensor] = field(default_factory=list)  # a digest for each sample
    ends: list[Tensor] = field(default_factory=list)  # lowest and highest element of each step


class InputSpreadsProbe(Probe):
    """Looks once in each step, after its first outermost forward with gradients."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._looked_at = -1  # step
        self._seen: dict[str, _Seen] = {}

    def module_returned(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """Take down what tells samples apart."""
        if len(self.run.modules) > 1 or self._looked_at == self.run.step:
            return
        if self.run.in_backward or not self.run.grad_enabled:
            return
        given: dict[str, list[Tensor]] = {}
        for value in inputs():
            tensor = value.tensor() if value.tensor is not None else None
            if tensor is not None and _is_readable(tensor):
                given.setdefault(value.leaf, []).append(tensor.detach())
        for name, tensors in list(given.items())[:_MOST_NAMES]:
            self._looked_at = self.run.step
            samples = list(tensors[0]) if len(tensors) == 1 else tensors
            seen = self._seen.setdefault(name, _Seen())
            seen.shape = tuple(tensors[0].shape)
            chosen = [each.contiguous() for each in samples[:_MOST_SAMPLES]]
            seen.samples += len(chosen)
            seen.told_by += digests(chosen)
            seen.ends += [end for each in chosen for end in each.aminmax()]

    def evidence(self) -> Iterator[Evidence]:
        """Compare the samples of all steps."""
        found = []
        for name, seen in self._seen.items():
            if seen.samples > 1:
                ends = torch.stack(seen.ends).double().tolist()
                found.append(
                    InputSpread(
                        name=name,
                        shape=seen.shape,
                        samples=seen.samples,
                        is_one_number=len(set(ends)) == 1,
                        is_one_sample=len(set(torch.stack(seen.told_by).tolist())) == 1,
                        number=ends[-1],
                    )
                )
        if found:
            yield InputSpreads(inputs=tuple(found))


def _is_readable(tensor: Tensor) -> bool:
    return (
        tensor.layout is torch.strided
        and not (tensor.is_meta or tensor.is_complex())
        and tensor.dim() > 1
        and tensor.numel() > 0
    )
