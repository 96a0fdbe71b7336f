"""What each close look at a run has shown of the terms of its loss."""

from collections.abc import Iterator
from typing import ClassVar, Self

from stepscope.core import Evidence, Recording
from stepscope.evidence.course.line import Happening
from stepscope.evidence.environment import Beginning
from stepscope.evidence.loss_terms import LossTerm, LossTerms


class TermsLooked(Happening, frozen=True, kw_only=True):
    """The shares of the terms of a loss, as a window has measured them."""

    terms: tuple[LossTerm, ...]  # those with a share
    is_beginning: bool  # in the first steps of the run

    @classmethod
    def seen_in(cls, window: Recording) -> Iterator[Self]:
        """Tell of a window in which shares could be measured."""
        seen = window.get(LossTerms)
        measured = [each for each in seen.terms if each.gradient_share is not None] if seen else []
        if measured:
            yield cls(terms=tuple(measured), is_beginning=window.get(Beginning) is not None)


class TermLooks(Evidence, frozen=True, kw_only=True):
    """The looks in which shares could be measured, in order."""

    obtained_by: ClassVar[str] = "a loss of two terms or more, in a run that is watched"
    happening: ClassVar[type[Happening]] = TermsLooked
    seen: tuple[tuple[int, TermsLooked], ...]
    count: int
