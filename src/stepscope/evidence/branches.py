"""The parts of a model that see one of its inputs only."""

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import ClassVar

import msgspec

from stepscope.core import Evidence
from stepscope.evidence.parameters import is_below

IMAGE_LIKE = 3  # dimensions: a batch of sequences of vectors, or of images


class Branch(msgspec.Struct, frozen=True, kw_only=True):
    """Modules that are given what was computed from one floating-point input, and nothing else."""

    input: str  # by the name of the forward's argument: "thermal"
    dimensions: int  # of the input
    modules: tuple[str, ...]  # the outermost of them, in the order of their calls
    first: str  # the first module with trained parameters of its own; "" where there is none
    last: str  # the outermost module that was called last
    samples: int  # of its output, in all recorded steps; 0: they could not be told apart
    is_same: bool  # these were equal bit for bit, though the input was not
    is_zero: bool  # likewise, and 0 everywhere

    def has(self, name: str) -> bool:
        """Tell whether a module or parameter is part of it."""
        return any(is_below(name, module) for module in self.modules)


class ModalityBranches(Evidence, frozen=True, kw_only=True):
    """One for each input that has modules of its own."""

    obtained_by: ClassVar[str] = "an input of the model that has modules of its own"
    branches: tuple[Branch, ...]

    def of(self, modalities: Sequence[str]) -> tuple[Branch, ...]:
        """Return those of the declared inputs; of all that look like images where none is."""
        return tuple(
            each
            for each in self.branches
            if any(fnmatchcase(each.input, pattern) for pattern in modalities)
            or (not modalities and each.dimensions >= IMAGE_LIKE and len(self.branches) > 1)
        )
