"""The data that evaluations were given, pass by pass."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class HeldOutPass(Happening, frozen=True, kw_only=True):
    """A pass of an evaluation over a data set that feeds no step. `at` is the line that began it.

    Told one step after the evaluation. The first batch stands for all of them: `marks` are
    fingerprints of what it holds, and where they differ, bits do. None are taken where that would
    take too much of the time.
    """

    data: int  # number of the data set, by identity, in the order of first passes
    kind: str  # its class name: "Subset of Pairs"
    size: int | None  # samples; None: it does not tell
    batch_size: int | None
    order: int  # passes over it before, in the same evaluation
    in_order: bool  # in the order of the data set, each pass alike
    marks: dict[str, float]  # of floating-point tensors, by where they are: "image", "1"
    whole_marks: dict[str, float]  # of tensors of integers and truths
    evaluated: int  # optimizer steps taken before
    called_test: str = ""  # by what the program says that it is its test set: "test_loader"


class HeldOutPasses(Evidence, frozen=True, kw_only=True):
    """The passes of all evaluations over data of their own, in order."""

    obtained_by: ClassVar[str] = "an evaluation on a DataLoader of its own (`stepscope run`)"
    happening: ClassVar[type[Happening]] = HeldOutPass
    seen: tuple[tuple[int, HeldOutPass], ...]
    count: int
