"""What is known about a run: frozen facts, without a tensor or a live object in them."""

import enum
from typing import ClassVar

import msgspec


class Moment(enum.IntEnum):
    """When in the life of a run a fact can first be known."""

    BEFORE = 0
    DURING = 1
    AFTER = 2


class Evidence(msgspec.Struct, frozen=True):
    """One kind of fact. Subclasses are frozen structs, keyword-only, and final.

    A recording holds at most one piece of each kind. Where a fact has a history, it holds
    one entry for each recorded optimizer step, in order.
    """

    moment: ClassVar[Moment] = Moment.DURING
    obtained_by: ClassVar[str]  # how it comes to be known; ends the sentence "skipped: needs ..."
