"""Whether a forward took part in anything with other processes."""

from typing import Any

import torch
from torch import nn


def counts() -> tuple[int, ...] | None:
    """Return how many collectives each process group has begun; () where there is none.

    None where a backend does not count.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return ()
    # Public functions do not see the collectives of custom operators and of other libraries.
    groups: Any = torch.distributed.distributed_c10d._world.pg_map
    try:
        return tuple(group._get_sequence_number_for_group() for group in groups)
    except RuntimeError:
        return None


def why_not_alone(module: nn.Module) -> str:
    """Say why the module cannot be run in one process alone, or "" where it can."""
    for child in module.modules():
        kind = type(child)
        spread = isinstance(child, nn.SyncBatchNorm) or kind.__module__.startswith(
            "torch.distributed"
        )
        if spread or isinstance(child, nn.parallel.DistributedDataParallel):
            return f"a module with {kind.__name__} is not run again in one process of several"
    if any(type(each.data) is not torch.Tensor for each in module.parameters()):
        return "its parameters are spread over several processes"
    return ""
