"""Wrappers that spread training over processes, and what becomes of each process's statistics."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Replicated(Happening, frozen=True, kw_only=True):
    """A wrapper whose parameters an optimizer has moved. `at` is where it was made."""

    number: int  # in the order of making: the same on all ranks
    kind: str  # "DistributedDataParallel", "FSDP"
    module: str  # qualified name of what it wraps; "" is the root
    rank: int
    group: tuple[int, ...]  # ranks that train it together
    keeps_copies: bool  # each rank holds all parameters, which are to stay equal
    averages_rarely: bool = False  # by design: ranks differ for some steps, then are averaged
    first_gives_buffers: bool = False  # those of the first rank replace all others at each forward
    device: str = ""  # "cpu", "NVIDIA H100"


class Replicas(Evidence, frozen=True, kw_only=True):
    """The wrappers of one process, as it found them after the first step of their optimizer."""

    obtained_by: ClassVar[str] = "a wrapper of torch.distributed over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = Replicated
    seen: tuple[tuple[int, Replicated], ...]
    count: int

    @property
    def wrappers(self) -> dict[int, Replicated]:
        """By their numbers."""
        return {each.number: each for _, each in self.seen}


class StatisticsUsed(Happening, frozen=True, kw_only=True):
    """A wrapped module is evaluated or saved with the running statistics of this process."""

    wrapper: int
    rank: int
    what: str  # "evaluated", "saved"
    as_trained: bool  # nothing was written into them since the last step


class StatisticsUses(Evidence, frozen=True, kw_only=True):
    """Evaluations and checkpoints of one process, of modules with running statistics."""

    obtained_by: ClassVar[str] = "an evaluation or a checkpoint under a wrapper (`stepscope run`)"
    happening: ClassVar[type[Happening]] = StatisticsUsed
    seen: tuple[tuple[int, StatisticsUsed], ...]
    count: int
