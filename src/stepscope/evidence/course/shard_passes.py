"""Passes of training over the share of the data that a `DistributedSampler` gives a process."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class ShardPass(Happening, frozen=True, kw_only=True):
    """The first step on a new pass. `at` is where the sampler was made."""

    sampler: int  # in the order of their first passes
    epoch: int  # that the order was drawn from, as `set_epoch` left it
    seed: int
    shuffled: bool
    replicas: int  # among which it divides the data


class ShardPasses(Evidence, frozen=True, kw_only=True):
    """The passes that optimizer steps were taken on, in order."""

    obtained_by: ClassVar[str] = "a DistributedSampler over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = ShardPass
    seen: tuple[tuple[int, ShardPass], ...]
    count: int
