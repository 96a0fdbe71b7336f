"""Which wrappers spread the gradients over processes, and whether the forward goes through them."""

import weakref
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from stepscope.core import Evidence, Place
from stepscope.evidence.distributed import Distributed, Wrapper
from stepscope.probes.backward_graph import leaves_below
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line


class _Made(NamedTuple):
    """What a wrapper took from the moment of its making."""

    reduced: list[weakref.ref[nn.Parameter]]
    at: Place


class _Seen:
    """One live wrapper."""

    def __init__(self, wrapper: DistributedDataParallel, module: str) -> None:
        self.live = weakref.ref(wrapper)
        self.module = module
        self.parameters: tuple[str, ...] = ()
        self.made_at = Place()
        self.tolerant = wrapper.find_unused_parameters or wrapper.static_graph
        self.kind = type(wrapper).__name__
        self.has_run = False  # since the last backward
        self.around: tuple[str, Place] | None = None  # a call below it, not through it
        self.bypassed: tuple[str, Place] | None = None  # such a call that a backward followed


class DistributedProbe(Probe):
    """Looks for `DistributedDataParallel` when a step begins. Costs nothing without processes."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._group: tuple[int, int] | None = None  # world size, rank
        self._made: weakref.WeakKeyDictionary[nn.Module, _Made] = weakref.WeakKeyDictionary()
        self._wrappers: list[_Seen] = []
        self._below: weakref.WeakKeyDictionary[nn.Module, _Seen] = weakref.WeakKeyDictionary()
        run.patch(DistributedDataParallel, "__init__", self._around_wrapping)

    def _around_wrapping(self, wrap: Any) -> Any:
        def observed(wrapper: DistributedDataParallel, *args: Any, **kwargs: Any) -> None:
            wrap(wrapper, *args, **kwargs)
            # Its reducer is built here, once, of what requires a gradient now.
            reduced = [weakref.ref(each) for each in _reducible(wrapper)]
            self._made[wrapper] = _Made(reduced, running_line(PROGRAM))

        return observed

    def step_opened(self) -> None:
        """Find wrappers that are new."""
        if not (distributed.is_available() and distributed.is_initialized()):
            return
        self._group = (distributed.get_world_size(), distributed.get_rank())
        known = {id(seen.live()) for seen in self._wrappers}
        for root in self.run.names.roots():
            for wrapper in root.modules():
                if isinstance(wrapper, DistributedDataParallel) and id(wrapper) not in known:
                    self._add(wrapper)

    def _add(self, wrapper: DistributedDataParallel) -> None:
        seen = _Seen(wrapper, self.run.names.module(wrapper.module))
        made = self._made.get(wrapper)
        reduced = _reducible(wrapper) if made is None else [each() for each in made.reduced]
        seen.made_at = Place() if made is None else made.at
        seen.parameters = tuple(
            self.run.names.tensor(parameter) for parameter in reduced if parameter is not None
        )
        self._wrappers.append(seen)
        for module in wrapper.module.modules():
            self._below[module] = seen

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        """Note a forward of a wrapper, or one below it that does not come through it."""
        for seen in self._wrappers:
            seen.has_run = seen.has_run or seen.live() is module
        seen_above = self._below.get(module) if self._below else None
        if seen_above is None or not module.training:
            return
        if any(seen_above.live() is running for running in self.run.modules):
            return
        if seen_above.around is None:
            seen_above.around = (self.run.names.module(module), running_line(PROGRAM))

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """Prove a bypass: a backward reaches the wrapped module, whose wrapper has not run."""
        suspects = [s for s in self._wrappers if s.around and not s.has_run and not s.bypassed]
        if suspects:
            reached = {id(leaf) for root in roots for leaf in leaves_below(root)}
            for seen in suspects:
                wrapper = seen.live()
                if wrapper and not reached.isdisjoint(map(id, wrapper.parameters())):
                    seen.bypassed = seen.around
        for seen in self._wrappers:
            seen.has_run = False
            seen.around = None

    def evidence(self) -> Iterator[Evidence]:
        """Yield the process group, where there is one."""
        if self._group is None:
            return
        size, rank = self._group
        yield Distributed(
            world_size=size,
            rank=rank,
            wrappers=tuple(
                Wrapper(
                    kind=seen.kind,
                    module=seen.module,
                    parameters=seen.parameters,
                    find_unused_parameters=seen.tolerant,
                    made_at=seen.made_at,
                    bypassed=seen.bypassed[0] if seen.bypassed else "",
                    bypassed_at=seen.bypassed[1] if seen.bypassed else None,
                )
                for seen in self._wrappers
            ),
        )


def _reducible(wrapper: DistributedDataParallel) -> list[nn.Parameter]:
    """Return the parameters that a wrapper made at this moment would reduce."""
    left_out = set(wrapper.parameters_to_ignore)
    return [
        parameter
        for name, parameter in wrapper.module.named_parameters()
        if parameter.requires_grad and name not in left_out
    ]
