"""What the run wrote to checkpoints, and what it left out."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Saved(Happening, frozen=True, kw_only=True):
    """One call of `torch.save` or of safetensors. `at` is the program's line."""

    path: str  # "" where it was written to memory
    tensors: int  # in what was handed over
    parameters: int  # that an optimizer holds, found among them
    held: int  # parameters that optimizers hold
    optimizers: int  # states of optimizers in it
    compiled: bool  # torch.compile was used: evaluations cannot be seen


class Saves(Evidence, frozen=True, kw_only=True):
    """The saves of the run, in order."""

    obtained_by: ClassVar[str] = "a checkpoint that the run saves"
    happening: ClassVar[type[Happening]] = Saved
    seen: tuple[tuple[int, Saved], ...]
    count: int


class LeftOut(Happening, frozen=True, kw_only=True):
    """Between two steps a checkpoint to resume from was saved. `at` is the line that saved it."""

    paths: tuple[str, ...]  # files written between the two steps
    names: tuple[str, ...]  # of what changes in training and is not in them; empty: nothing
    why: tuple[str, ...]  # for each, what it is: "a buffer that is not persistent"
    compared: int  # candidates that changed


class LeftOutOfSaves(Evidence, frozen=True, kw_only=True):
    """What checkpoints to resume from do not have."""

    obtained_by: ClassVar[str] = "a save of a model that keeps a queue, a pointer or a counter"
    happening: ClassVar[type[Happening]] = LeftOut
    seen: tuple[tuple[int, LeftOut], ...]
    count: int
