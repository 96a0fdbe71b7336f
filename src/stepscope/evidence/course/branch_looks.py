"""What each close look at a run has shown of the branches of its modalities."""

from collections.abc import Iterator
from typing import ClassVar, Self

from stepscope.core import Evidence, Recording
from stepscope.evidence.branches import Branch, ModalityBranches
from stepscope.evidence.course.line import Happening


class BranchesLooked(Happening, frozen=True, kw_only=True):
    """The branches as a window has seen them."""

    branches: tuple[Branch, ...]

    @classmethod
    def seen_in(cls, window: Recording) -> Iterator[Self]:
        """Tell of a window that has seen some."""
        seen = window.get(ModalityBranches)
        if seen is not None:
            yield cls(branches=seen.branches)


class BranchLooks(Evidence, frozen=True, kw_only=True):
    """The looks at branches, in order."""

    obtained_by: ClassVar[str] = "a model whose inputs have modules of their own, watched"
    happening: ClassVar[type[Happening]] = BranchesLooked
    seen: tuple[tuple[int, BranchesLooked], ...]
    count: int

    def is_late(self, step: int) -> bool:
        """Tell whether the last look was in the second half of a run of so many steps."""
        return 2 * self.seen[-1][0] >= step

    def at(self, name: str) -> list[Branch]:
        """Return the branch of an input at each look where its samples could be compared."""
        return [
            branch
            for _, look in self.seen
            for branch in look.branches
            if branch.input == name and branch.samples
        ]
