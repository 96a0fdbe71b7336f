"""Live wrappers that spread training over processes, and what they hold."""

import gc
import sys
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import distributed, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.parallel import DistributedDataParallel

from stepscope.core import Place
from stepscope.evidence.course.replicas import Replicated
from stepscope.probes.live_run import LiveRun
from stepscope.probes.source_lines import PROGRAM, running_line

# Dear to load, and loaded already where a program uses them.
SHARDING, SHARDED = "torch.distributed.fsdp", "torch.distributed.tensor"
AVERAGERS = "torch.distributed.algorithms.model_averaging.averagers"
WRAPPED = "_fsdp_wrapped_module."  # what FullyShardedDataParallel adds to names
WITHIN_A_SAMPLE = ("cp", "sp", "tp", "context", "sequence", "tensor", "model")  # in names of meshes


@dataclass(slots=True)
class Wrapped:
    """One live wrapper."""

    number: int
    live: weakref.ref[nn.Module]
    made_at: Place
    is_known: bool = False  # its facts were asked for
    facts: Replicated | None = None  # None also of one that divides otherwise than by data

    def parameters(self) -> dict[str, torch.Tensor]:
        """Return what it keeps in step, by its names below the wrapper: alike on all ranks."""
        wrapper = self.live()
        if wrapper is None:
            return {}
        left_out: Iterable[str] = ()
        if isinstance(wrapper, DistributedDataParallel):
            left_out, wrapper = set(wrapper.parameters_to_ignore), wrapper.module
        named = wrapper.named_parameters()
        return {name.replace(WRAPPED, ""): p for name, p in named if name not in left_out}

    def layers(self) -> dict[str, _NormBase]:
        """Return the normalisation layers with running statistics, by the same kind of names."""
        wrapper = self.live()
        if isinstance(wrapper, DistributedDataParallel):
            wrapper = wrapper.module
        return {
            name: module
            for name, module in (wrapper.named_modules() if wrapper is not None else ())
            if isinstance(module, _NormBase) and module.running_mean is not None
        }

    def has_own_statistics(self) -> bool:
        """Tell whether each rank goes on with running statistics of its own."""
        wrapper = self.live()
        return isinstance(wrapper, DistributedDataParallel) and not _gives_buffers(wrapper)


def facts_of(wrapped: Wrapped, run: LiveRun) -> Replicated | None:
    """Return what does not change; None of a wrapper that divides otherwise than by data."""
    wrapper = wrapped.live()
    if wrapper is None:
        return None
    rank, device = distributed.get_rank(), _device(wrapper)
    if isinstance(wrapper, DistributedDataParallel):
        return Replicated(
            number=wrapped.number,
            kind=type(wrapper).__name__,
            module=run.names.module(wrapper.module),
            rank=rank,
            group=tuple(distributed.get_process_group_ranks(wrapper.process_group)),
            keeps_copies=True,
            averages_rarely=_averages_rarely(wrapper),
            first_gives_buffers=_gives_buffers(wrapper),
            device=device,
            at=wrapped.made_at,
        )
    copies = _copies_of_shards(wrapper)
    group = copies or _sharding_group(wrapper)
    if not group:
        return None
    return Replicated(
        number=wrapped.number,
        kind="FSDP",
        module=run.names.module(wrapper),
        rank=rank,
        group=group,
        keeps_copies=bool(copies),
        averages_rarely=_reduces_rarely(wrapper),
        device=device,
    )


class Wrappers:
    """Finds them: where they are made, and what was made before among the modules there are."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._found: list[Wrapped] = []
        self.are_fresh = False
        run.patch(DistributedDataParallel, "__init__", self._around_wrapping)

    def __iter__(self) -> Iterator[Wrapped]:
        return iter(self._found)

    def look(self) -> None:
        """Look for new ones. As dear as naming all modules."""
        if self.are_fresh:
            return
        self.are_fresh = True
        self._run.names.grow_stale(settle=True)
        known = {id(each.live()) for each in self._found}
        for root in self._run.names.roots():
            for module in _outermost(root):
                if id(module) not in known:
                    self._add(module, Place())

    def _add(self, wrapper: nn.Module, at: Place) -> None:
        self._found.append(Wrapped(len(self._found), weakref.ref(wrapper), at))

    def _around_wrapping(self, wrap: Any) -> Any:
        def observed(wrapper: DistributedDataParallel, *args: Any, **kwargs: Any) -> None:
            wrap(wrapper, *args, **kwargs)
            self._add(wrapper, running_line(PROGRAM))
            self.are_fresh = False

        return observed


def _outermost(module: nn.Module) -> Iterator[nn.Module]:
    """Yield wrappers that lie in no other."""
    fsdp = sys.modules.get(SHARDING)
    if isinstance(module, DistributedDataParallel) or (
        fsdp is not None and isinstance(module, (fsdp.FSDPModule, fsdp.FullyShardedDataParallel))
    ):
        yield module
        return
    for child in module.children():
        yield from _outermost(child)


def _sharding_group(wrapper: nn.Module) -> tuple[int, ...]:
    """Return the ranks over which the parameters are divided, where that is all they are."""
    if isinstance(wrapper, sys.modules[SHARDING].FullyShardedDataParallel):
        return tuple(distributed.get_process_group_ranks(wrapper.process_group))
    mesh, _ = _mesh(wrapper)
    if mesh is None or mesh.ndim > 1:
        return ()
    return tuple(mesh.mesh.tolist())


def _copies_of_shards(wrapper: nn.Module) -> tuple[int, ...]:
    """Return the ranks that hold the same shards as this one; () where each has its own."""
    fsdp = sys.modules[SHARDING]
    if isinstance(wrapper, fsdp.FullyShardedDataParallel):
        if wrapper.sharding_strategy is fsdp.ShardingStrategy.NO_SHARD:
            return tuple(distributed.get_process_group_ranks(wrapper.process_group))
        between = vars(wrapper).get("_inter_node_pg")  # of the hybrid strategies
        return tuple(distributed.get_process_group_ranks(between)) if between is not None else ()
    mesh, placements = _mesh(wrapper)
    if mesh is None or mesh.ndim == 1 or not all(_is_hybrid(each) for each in placements):
        return ()
    return tuple(distributed.get_process_group_ranks(mesh.get_group(0)))


def _mesh(wrapper: nn.Module) -> tuple[Any, set[Any]]:
    """Return the mesh of all parameters, and how they lie on it; None where it divides samples."""
    sharded = sys.modules[SHARDED].DTensor
    spread = [p for p in wrapper.parameters() if isinstance(p, sharded)]
    meshes = {p.device_mesh for p in spread}
    if len(meshes) != 1:
        return None, set()
    mesh = meshes.pop()
    names = [part for name in mesh.mesh_dim_names or () for part in name.lower().split("_")]
    if any(name in WITHIN_A_SAMPLE for name in names):
        return None, set()
    return mesh, {p.placements for p in spread}


def _is_hybrid(placements: Any) -> bool:
    """Tell a parameter that is divided within a node, and copied to the others."""
    outer, *inner = placements
    return bool(outer.is_replicate()) and [each.is_shard() for each in inner] == [True]


def _reduces_rarely(wrapper: nn.Module) -> bool:
    """Tell whether gradients stay within a node at present, as where its steps are its own."""
    sharded = (m for m in wrapper.modules() if isinstance(m, sys.modules[SHARDING].FSDPModule))
    groups = (module._get_fsdp_state()._fsdp_param_group for module in sharded)
    return any(group is not None and not group.all_reduce_grads for group in groups)


def _averages_rarely(wrapper: DistributedDataParallel) -> bool:
    kinds = {type(state).__name__ for _, state in wrapper._comm_hooks}
    return "PostLocalSGDState" in kinds or _is_there_an_averager()


def _is_there_an_averager() -> bool:
    """Tell whether any lives: that their module is loaded says little, many programs load it."""
    averagers = sys.modules.get(AVERAGERS)
    return averagers is not None and any(
        issubclass(type(each), averagers.ModelAverager) for each in gc.get_objects()
    )


def _gives_buffers(wrapper: DistributedDataParallel) -> bool:
    return wrapper.broadcast_buffers or "buffer_hook" in vars(wrapper)


def _device(wrapper: nn.Module) -> str:
    device = next((p.device for p in wrapper.parameters()), torch.device("cpu"))
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
