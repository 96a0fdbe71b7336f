"""What the total loss is made of, recovered from the graph."""

from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class LossTerm(msgspec.Struct, frozen=True, kw_only=True):
    """One summand of a backward root; per-step entries are None where it did not appear."""

    name: str  # key in a dictionary the model returned, or what computed it: "cross_entropy"
    named_by_model: bool  # the name is a key or attribute of the program, not a guess
    weight: float | None  # its factor in the total; None: not a constant
    values: tuple[float | None, ...]
    differentiable: bool  # False: a constant as far as the gradient knows
    feeds_from: tuple[str, ...] = ()  # trainable parameters the value depends on, where constant
    gradient_share: float | None = None  # of the gradient norm on a parameter all terms share
    share_on: str = ""  # that parameter
    at: Place = Place()  # the line that computed it
    total: Place = Place()  # the line that began the backward of its total


class DanglingLoss(msgspec.Struct, frozen=True, kw_only=True):
    """A differentiable scalar that a module handed out as a loss, and that no backward reached."""

    name: str
    module: str
    value: float
    at: Place


class LostLoss(msgspec.Struct, frozen=True, kw_only=True):
    """A loss that a module handed out as nan or inf, in a step in which no backward reached it."""

    name: str
    module: str
    value: float
    step: int  # the first such
    at: Place


class LossTerms(Evidence, frozen=True, kw_only=True):
    """The summands of every backward root, and scalars that never became one."""

    obtained_by: ClassVar[str] = "a backward call on a traced loss"
    terms: tuple[LossTerm, ...]
    dangling: tuple[DanglingLoss, ...] = ()
    lost: tuple[LostLoss, ...] = ()
    values_read: tuple[str, ...] = ()  # names of losses in dictionaries, zero constants included
    reached: tuple[str, ...] = ()  # names the program gave to what lies below a backward root
