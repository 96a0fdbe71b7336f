"""Passes over the training data that were shuffled alike."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class OrderRepeated(Happening, frozen=True, kw_only=True):
    """A loader has been iterated again and again from one state of its random generator.

    `at` is the line that iterates it. Steps were taken in each pass, and no optimizer was made.
    """

    loader: int  # its number among the loaders of the run
    passes: int  # on end, that began alike
    own_generator: bool  # the loader was given one; False: it shuffles by torch's global one

    @property
    def is_telling(self) -> bool:
        """Whether a rule may go by it alone."""
        return True


class RepeatedOrders(Evidence, frozen=True, kw_only=True):
    """The loaders whose passes were alike."""

    obtained_by: ClassVar[str] = "a torch DataLoader over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = OrderRepeated
    seen: tuple[tuple[int, OrderRepeated], ...]
    count: int
