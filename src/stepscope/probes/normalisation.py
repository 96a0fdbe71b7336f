"""How many values the statistics of a normalisation layer are computed from."""

import math
import weakref
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn

from stepscope.core import Evidence, Place
from stepscope.evidence.normalisation import NormalisationCall, NormalisationCalls
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line


class _Calls:
    """The calls of one layer. `fewest` and `most` are 0 while it has computed no statistics."""

    def __init__(self, module: nn.Module) -> None:
        self.module = weakref.ref(module)
        self.kind = type(module).__name__
        self.training = module.training
        self.name = ""
        self.fewest = 0
        self.most = 0
        self.raised = False
        self.calls = 0
        self.at = Place()


class NormalisationProbe(Probe):
    """Counts values for each statistic by the shape of the input, and reads none of them."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._layers: dict[int, _Calls] = {}
        self._gone: list[_Calls] = []
        self._is_open = False

    def step_opened(self) -> None:
        """Calls from here on belong to a recorded step."""
        self._is_open = True

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Note the smallest input of each layer."""
        if not self._is_open or self.run.in_backward or not isinstance(module, _LAYERS):
            return
        first = args[0] if args else next(iter(kwargs.values()), None)
        if not isinstance(first, torch.Tensor) or not first.numel():
            return
        values = _values(module, tuple(first.shape))
        layer = self._layers.get(id(module))
        if layer is None or layer.module() is not module:
            if layer is not None:
                self._gone.append(layer)
            layer = self._layers[id(module)] = _Calls(module)
        layer.calls += 1
        layer.most = max(layer.most, values or 0)
        if values is not None and not 0 < layer.fewest <= values:
            layer.fewest = values
            layer.raised = False
            layer.training = module.training
            layer.at = running_line(PROGRAM)

    def module_raised(self, module: nn.Module, exception: BaseException) -> None:
        """Note that a layer refused its smallest input."""
        layer = self._layers.get(id(module))
        if layer is not None and layer.module() is module and isinstance(exception, ValueError):
            layer.raised = layer.fewest == 1
            layer.name = layer.name or self.run.names.module(module)

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Name what lives."""
        self._is_open = False
        self._name()

    def evidence(self) -> Iterator[Evidence]:
        """Hand out all layers that were called."""
        self._name()
        layers = [layer for layer in (*self._gone, *self._layers.values()) if layer.name]
        if layers:
            yield NormalisationCalls(calls=tuple(_call(layer) for layer in layers))

    def _name(self) -> None:
        for layer in self._layers.values():
            module = layer.module()
            if module is not None:
                layer.name = self.run.names.module(module)


_LAYERS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm)


def _values(module: nn.Module, shape: tuple[int, ...]) -> int | None:
    """Return how many values each statistic is computed from; None: from none of this input."""
    match module:
        case nn.GroupNorm() if len(shape) > 1:
            return math.prod(shape[1:]) // module.num_groups
        case nn.LayerNorm():
            return math.prod(module.normalized_shape)
        case nn.modules.batchnorm._NormBase() if module.training or module.running_mean is None:
            features = module.num_features
            if isinstance(module, nn.modules.instancenorm._InstanceNorm):
                rows = shape[0] if len(shape) == len(_batched(module)) else 1
                return math.prod(shape) // max(features * rows, 1)
            return math.prod(shape) // max(features, 1) * _processes(module)
    return None


def _batched(module: nn.Module) -> tuple[int, ...]:
    """Return a shape with as many dimensions as a batched input has."""
    dimensions = {"1d": 3, "2d": 4, "3d": 5}
    return (0,) * next((n for end, n in dimensions.items() if end in type(module).__name__), 0)


def _processes(module: nn.Module) -> int:
    """Return how many processes pool their statistics."""
    is_pooled = isinstance(module, nn.SyncBatchNorm) and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if is_pooled else 1


def _call(layer: _Calls) -> NormalisationCall:
    return NormalisationCall(
        module=layer.name,
        kind=layer.kind,
        training=layer.training,
        fewest_values=layer.fewest,
        most_values=layer.most,
        raised=layer.raised,
        calls=layer.calls,
        at=layer.at,
    )
