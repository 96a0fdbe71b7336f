"""How the run is spread over processes, as far as one of them can see it."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class Wrapper(msgspec.Struct, frozen=True, kw_only=True):
    """One wrapper that makes the processes agree on gradients."""

    kind: str  # "DistributedDataParallel"
    module: str  # qualified name of what it wraps; "" is the root
    parameters: tuple[str, ...]  # those it reduces: what required a gradient when it was made
    find_unused_parameters: bool = False  # a static graph tolerates unused parameters as well
    made_at: Place = Place()
    bypassed_at: Place | None = None  # training forward around the wrapper, followed by a backward
    bypassed: str = ""  # qualified name of the module that was called there


class Distributed(Evidence, frozen=True, kw_only=True):
    """The process group, and the wrappers around trained modules."""

    obtained_by: ClassVar[str] = "a process group of torch.distributed"
    world_size: int
    rank: int
    wrappers: tuple[Wrapper, ...] = ()
