"""When the run was evaluated, and in which mode."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening


class Evaluated(Happening, frozen=True, kw_only=True):
    """Forwards between two optimizer steps that led to none. `at` is the line of the first.

    Told one step later. What is said of the module is said of the first one that ran.
    """

    module: str  # qualified name; "" is the root
    kind: str  # class name
    trained: bool  # an optimizer holds parameters of it
    training: bool  # its mode
    gradients: bool  # they were enabled
    other_data: bool  # batches came from a data set that no step was given
    put: bool  # eval() was called before, since the last step
    evaluated: int  # optimizer steps taken before
    sensitive: int = 0  # layers below whose output depends on the mode, and that were in training
    first_sensitive: str = ""  # name of one of them
    keys: tuple[str, ...] = ()  # of the mappings in the first sample: "meta.img_shape"
    keys_from: str = ""  # where that sample was found: "the batch of a DataLoader"

    @property
    def is_telling(self) -> bool:
        """An evaluation in training mode, on data of its own."""
        return self.trained and self.training and self.other_data and self.sensitive > 0


class Evaluations(Evidence, frozen=True, kw_only=True):
    """The evaluations of the run, by all signs, in order."""

    obtained_by: ClassVar[str] = "an evaluation over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = Evaluated
    seen: tuple[tuple[int, Evaluated], ...]
    count: int


class BackToTraining(Happening, frozen=True, kw_only=True):
    """Training goes on after an evaluation: whatever it left behind shows now."""

    opens_window: ClassVar[bool] = True


class PassBelongs(Happening, frozen=True, kw_only=True):
    """Forwards without gradients belong to the steps: no evaluation can be told from them.

    `at` is the line of one.
    """


class PassesInSteps(Evidence, frozen=True, kw_only=True):
    """There if such passes were seen."""

    obtained_by: ClassVar[str] = "a pass without gradients that belongs to a step"
    happening: ClassVar[type[Happening]] = PassBelongs
    seen: tuple[tuple[int, PassBelongs], ...]
    count: int
