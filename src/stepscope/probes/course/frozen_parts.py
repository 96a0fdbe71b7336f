"""Which tensors and layers of the live models no gradient trains at present."""

import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch

from stepscope.probes.fingerprints import readable
from stepscope.probes.live_run import LiveRun
from stepscope.probes.modules import keeps_statistics, sensitive
from stepscope.probes.parameters import STATISTICS


@dataclass(frozen=True, slots=True)
class FrozenTensor:
    """A frozen parameter, or a running statistic of a frozen layer."""

    tensor: weakref.ref[torch.Tensor]
    name: str
    is_statistic: bool


@dataclass(frozen=True, slots=True)
class FrozenLayer:
    """A layer of a frozen part whose output depends on its mode."""

    module: weakref.ref[torch.nn.Module]
    name: str


def frozen_tensors(run: LiveRun, roots: Sequence[torch.nn.Module]) -> Iterator[FrozenTensor]:
    """Yield what must not move: frozen parameters in no optimizer, statistics of frozen layers."""
    held = run.held.keys()
    told: set[int] = set()
    for module, _, is_frozen in _modules(run, roots):
        own = [p for p in module._parameters.values() if p is not None and not p.requires_grad]
        found: list[tuple[torch.Tensor, bool]] = [(p, False) for p in own if id(p) not in held]
        if is_frozen and keeps_statistics(module):
            buffers = (module._buffers.get(key) for key in STATISTICS)
            found += [(buffer, True) for buffer in buffers if buffer is not None]
        for tensor, is_statistic in found:
            if id(tensor) not in told and readable(tensor) is not None:
                told.add(id(tensor))
                yield FrozenTensor(weakref.ref(tensor), run.names.tensor(tensor), is_statistic)


def frozen_layers(run: LiveRun, roots: Sequence[torch.nn.Module]) -> Iterator[FrozenLayer]:
    """Yield dropout, drop-path and normalisation layers of frozen parts."""
    for module, name, is_frozen in _modules(run, roots):
        if is_frozen and sensitive(module):
            yield FrozenLayer(weakref.ref(module), name)


def frozen_parameters(run: LiveRun, roots: Sequence[torch.nn.Module]) -> Iterator[FrozenTensor]:
    """Yield all parameters that require no gradient, held by an optimizer or not."""
    for module, _, _ in _modules(run, roots):
        for parameter in module._parameters.values():
            if parameter is not None and not parameter.requires_grad:
                name = run.names.tensor(parameter)
                yield FrozenTensor(weakref.ref(parameter), name, is_statistic=False)


def _modules(
    run: LiveRun, roots: Sequence[torch.nn.Module]
) -> Iterator[tuple[torch.nn.Module, str, bool]]:
    """Yield each module with its name, and whether it belongs to a frozen part.

    A module without parameters of its own belongs to what the module above it holds.
    """
    told: set[int] = set()
    above: dict[int, bool] = {}  # by id of a module: whether all that it holds is frozen
    waiting = [(root, root) for root in roots]
    while waiting:
        module, holder = waiting.pop()
        if id(module) in told:
            continue
        told.add(id(module))
        own = [p for p in module._parameters.values() if p is not None]
        if not own and id(holder) not in above:
            above[id(holder)] = _are_frozen(list(holder.parameters()))
        yield module, run.names.module(module), _are_frozen(own) if own else above[id(holder)]
        children = (child for child in module._modules.values() if child is not None)
        waiting += reversed([(child, module) for child in children])


def _are_frozen(parameters: Sequence[torch.Tensor]) -> bool:
    return bool(parameters) and not any(p.requires_grad for p in parameters)
