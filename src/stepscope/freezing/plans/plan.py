"""A plan: what is frozen, and for how long; what is tuned, and by how much."""

import math
from itertools import pairwise

import msgspec

from stepscope.freezing.frozen import Norm


class Stage(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is frozen besides, until an epoch or an optimizer step is reached.

    Raises:
        ValueError: it has no end, or two.
        TypeError: `frozen` is one text.
    """

    frozen: tuple[str, ...]  # globs
    until_epoch: int | None = None  # the first epoch that it no longer holds in, counted from 0
    until_step: int | None = None  # the first optimizer step likewise

    def __post_init__(self) -> None:
        """Expect one end, after the beginning."""
        _expect_several(self.frozen)
        ends = [end for end in (self.until_epoch, self.until_step) if end is not None]
        if len(ends) != 1:
            raise ValueError("a stage needs either until_epoch or until_step")
        if ends[0] < 1:
            raise ValueError(f"a stage that ends at {ends[0]} never begins; expected 1 or more")

    def is_over(self, epoch: int | None, step: int | None) -> bool:
        """Tell whether its end is reached. Its own unit must be given.

        Raises:
            ValueError: it is not.
        """
        if self.until_epoch is not None:
            if epoch is None:
                raise ValueError(f"a stage lasts until epoch {self.until_epoch}: say epoch=")
            return epoch >= self.until_epoch
        assert self.until_step is not None, "one of them is given"
        if step is None:
            raise ValueError(f"a stage lasts until step {self.until_step}: say step=")
        return step >= self.until_step


class Plan(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Globs are those of the intent. Of several that match a parameter, the longest decides.

    What a stage freezes is frozen while it lasts, and tuned or trained afterwards.

    Raises:
        ValueError: a multiplier is no positive number, or a stage does not end after the one
            before it.
        TypeError: `frozen` is one text.
    """

    frozen: tuple[str, ...] = ()  # globs: throughout, whatever the stage
    tuned: dict[str, float] = {}  # glob -> multiplier of the learning rate; all else: 1
    norm: Norm | dict[str, Norm] = "eval"  # "eval": running statistics stand still
    stages: tuple[Stage, ...] = ()  # in order

    def __post_init__(self) -> None:
        """Refuse what cannot be meant."""
        _expect_several(self.frozen)
        for glob, multiplier in self.tuned.items():
            if multiplier == 0:
                raise ValueError(
                    f"tuned: {glob!r} has the multiplier 0, which freezes nothing: gradients and "
                    "optimizer state are still paid for, and statistics move; put it under frozen"
                )
            if glob in self.frozen:
                raise ValueError(f"{glob!r} is both frozen and tuned; say one of them")
            if not (math.isfinite(multiplier) and multiplier > 0):
                raise ValueError(f"tuned: {glob!r} has the multiplier {multiplier}; expected > 0")
        for unit in ("until_epoch", "until_step"):
            ends = [end for stage in self.stages if (end := getattr(stage, unit)) is not None]
            if any(later <= earlier for earlier, later in pairwise(ends)):
                raise ValueError(f"stages: {unit} must grow from stage to stage, found {ends}")

    def frozen_in(self, stage: int) -> tuple[str, ...]:
        """Return all globs that are frozen in a stage; after the last one only the plan's own."""
        own = self.stages[stage].frozen if stage < len(self.stages) else ()
        return tuple(dict.fromkeys((*self.frozen, *own)))

    def stage_at(self, epoch: int | None, step: int | None, *, since: int = 0) -> int:
        """Return the stage that an epoch or optimizer step belongs to, `since` an earlier one.

        Raises:
            ValueError: a stage ends in a unit that is not given.
        """
        stage = since
        while stage < len(self.stages) and self.stages[stage].is_over(epoch, step):
            stage += 1
        return stage


def _expect_several(globs: tuple[str, ...]) -> None:
    """Refuse a text, whose characters would be taken for globs."""
    if isinstance(globs, str):
        raise TypeError(f"frozen={globs!r} is one text; expected a tuple of globs: ({globs!r},)")
