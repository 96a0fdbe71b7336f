"""Which modules see one input of the model only, and what comes out of them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from stepscope.core import Evidence
from stepscope.evidence.branches import Branch, ModalityBranches
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.value_tracing.arguments import tensors_in
from stepscope.probes.values import inputs, value_of


class _Output(NamedTuple):
    """What an outermost module gave."""

    is_same: Tensor
    is_zero: Tensor
    samples: int


@dataclass(slots=True)
class _Branch:
    """What was seen of one input. Comparisons stay on their device until the end."""

    name: str
    dimensions: int
    outermost: dict[int, str] = field(default_factory=dict)  # by id of the module
    trained: dict[int, str] = field(default_factory=dict)  # with parameters of their own
    outputs: dict[int, list[_Output]] = field(default_factory=dict)  # by id of the module
    inputs_same: list[Tensor] = field(default_factory=list)


class BranchesProbe(Probe):
    """Follows the inputs by what the values that modules are given were computed from."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._given: list[int] = []  # bits of inputs, for the running forwards, outermost first
        self._bits: dict[int, int] = {}  # of all that a module was ever given
        self._branches: dict[int, _Branch] = {}  # by bit
        self._looked_at = -1  # step

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """See from which inputs its arguments were computed."""
        del self._given[len(self.run.modules) - 1 :]
        self._given.append(_bits_of((*args, *kwargs.values())))
        if len(self.run.modules) > 1 and self.run.grad_enabled and not self.run.in_backward:
            self._bits[id(module)] = self._bits.get(id(module), 0) | self._given[-1]

    def module_returned(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """Take note of a module of one input; compare the samples of what it gives."""
        if self.run.in_backward or not self.run.grad_enabled or len(self.run.modules) < 2:  # noqa: PLR2004 - the root
            return
        around, given = self._given[len(self.run.modules) - 2 : len(self.run.modules)]
        if not given or given & (given - 1) or _bits_of((output,)) != given:
            return
        branch = self._branch(given)
        if branch is None:
            return
        if any(each.requires_grad for each in module._parameters.values() if each is not None):
            branch.trained.setdefault(id(module), self.run.names.module(module))
        if around == given:
            return
        branch.outermost.setdefault(id(module), self.run.names.module(module))
        first = next((each for each in tensors_in((output,)) if each.is_floating_point()), None)
        if first is not None and first.dim() > 1 and len(first) > 1 and not first.is_meta:
            first = first.detach()
            branch.outputs.setdefault(id(module), []).append(
                _Output(_is_one(first), (first == 0).all(), len(first))
            )

    def _branch(self, bit: int) -> _Branch | None:
        """Return the branch of an input; None for one of an earlier step, kept by the program."""
        for value in inputs():
            if value.inputs == bit and bit not in self._branches:
                self._branches[bit] = _Branch(value.leaf, len(value.shape))
        return self._branches.get(bit)

    def backward_called(self, roots: tuple[Tensor, ...]) -> None:  # noqa: ARG002
        """Look at the inputs themselves, once in each step."""
        if self._looked_at == self.run.step:
            return
        self._looked_at = self.run.step
        for value in inputs():
            tensor = value.tensor() if value.tensor is not None else None
            if value.inputs in self._branches and tensor is not None and tensor.dim() > 1:
                self._branches[value.inputs].inputs_same.append(_is_one(tensor.detach()))

    def evidence(self) -> Iterator[Evidence]:
        """Leave out what more than one input went through."""
        found = [
            branch
            for bit, each in self._branches.items()
            if (branch := self._said(bit, each)).modules
        ]
        if found:
            yield ModalityBranches(branches=tuple(found))

    def _said(self, bit: int, seen: _Branch) -> Branch:
        own = {key: name for key, name in seen.outermost.items() if self._bits[key] == bit}
        trained = [name for key, name in seen.trained.items() if self._bits[key] == bit]
        last = next(reversed(own), 0)
        outputs = seen.outputs.get(last, [])
        is_told = bool(outputs) and not all(bool(each) for each in seen.inputs_same)
        return Branch(
            input=seen.name,
            dimensions=seen.dimensions,
            modules=tuple(own.values()),
            first=trained[0] if trained else "",
            last=own.get(last, ""),
            samples=sum(each.samples for each in outputs) if is_told else 0,
            is_same=is_told and all(bool(each.is_same) for each in outputs),
            is_zero=is_told and all(bool(each.is_zero) for each in outputs),
        )


def _bits_of(values: tuple[Any, ...]) -> int:
    bits = 0
    for tensor in tensors_in(values):
        value = value_of(tensor)
        bits |= value.inputs if value is not None else 0
    return bits


def _is_one(samples: Tensor) -> Tensor:
    return (samples == samples[:1]).all()
