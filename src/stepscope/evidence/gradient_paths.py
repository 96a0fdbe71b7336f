"""How values travel from parameters to the losses, and where the gradient does not follow."""

import enum
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class CutKind(enum.Enum):
    """What ended the gradient while the value went on."""

    NO_GRAD = "no_grad"  # also inference_mode and set_grad_enabled(False)
    DETACH = "detach"  # also .data
    ESCAPE = "escape"  # .item(), .numpy(), .tolist(): the value left torch
    COLLECTIVE = "collective"  # torch.distributed without gradient


class CutRole(enum.Enum):
    """What the cut value is for, where it comes back."""

    FEATURE = "feature"  # trainable layers follow it
    TARGET = "target"  # it is the target of a loss
    STRAIGHT_THROUGH = "straight-through"  # x + (y - x).detach()
    WEIGHT = (
        "weight at the loss"  # it scales a loss or a loss's arguments; nothing trainable follows
    )


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The derivative in one direction, taken in several ways on a copy of one module.

    All are derivatives of <upstream gradient, module output> along the same random direction in
    the module's inputs and parameters.
    """

    module: str  # qualified name of the module that was run again
    reverse: float  # by backward, as training sees it
    forward: float | None  # by forward mode, which passes no_grad and stops at detach
    difference: float  # central finite difference: the true change of the value
    error: float  # of `difference`: its change when the step width is halved
    coarse: float = 0.0  # difference quotient over a tenth of the size of inputs and parameters

    @property
    def is_sure(self) -> bool:
        """Whether forward mode and the finite difference agree, to 1 % of their size."""
        if self.forward is None:
            return False
        scale = abs(self.forward)
        return abs(self.forward - self.difference) <= 0.01 * scale and self.error <= 0.01 * scale

    @property
    def share_lost(self) -> float:
        """Share of the change of the value that the gradient does not show."""
        assert self.forward is not None
        return abs(self.reverse - self.forward) / abs(self.forward) if self.forward else 0.0


class Cut(msgspec.Struct, frozen=True, kw_only=True):
    """One place where a value that depends on trainable parameters goes on without gradient."""

    kind: CutKind
    role: CutRole
    operation: str  # first operation without gradient: "softmax"
    at: Place  # its line
    region: Place | None  # the line of `with torch.no_grad()` or of the decorated function
    enters: tuple[Place, ...]  # where the value meets the graph again
    module: str  # qualified name of the module in whose forward it stands
    feeds_from: tuple[str, ...]  # trainable parameters the value depends on
    dead: tuple[str, ...]  # of these, those that no backward reaches by any path, in any step
    steps: int  # recorded steps in which it was seen
    inside: tuple[str, ...] = ()  # trainable parameters applied within the region itself
    modules: int = 1  # in whose forward it stands, `module` the first of them
    not_proved: str = ""  # why there is no proof, where there is none
    proof: Proof | None = None


class Amplification(msgspec.Struct, frozen=True, kw_only=True):
    """A large constant that multiplies a surrogate (straight-through) value."""

    constant: float
    operation: str
    at: Place
    module: str
    surrogate_at: Place | None  # the line of the `x - x.detach()`
    proof: Proof | None = None
    not_proved: str = ""


class Checkpointed(msgspec.Struct, frozen=True, kw_only=True):
    """A re-entrant activation checkpoint entered without any input that requires a gradient."""

    module: str
    parameters: tuple[str, ...]  # trainable parameters used inside
    at: Place


class InputPath(msgspec.Struct, frozen=True, kw_only=True):
    """One floating-point tensor that was given to the trained root.

    `gradient` is no derivative by the input itself, for which the program did not ask. It is the
    largest |element| of the gradients that backward brought to the first values computed from the
    input that carry a gradient, until one is not 0. The derivative by the input is a sum of
    products with these. So exactly 0 proves that the derivative which training follows is exactly
    0; another number proves nothing.
    """

    name: str  # key or argument name: "thermal"
    shape: tuple[int, ...]
    reaches_loss: bool  # a backward root's value depends on it
    gradient: float | None = None  # None: not measured, or some way of it was not
    steps: int = 0  # recorded steps in which `gradient` was measured


class GradientPaths(Evidence, frozen=True, kw_only=True):
    """Value flow compared with the autograd graph, over the recorded steps."""

    obtained_by: ClassVar[str] = "the operations of a recorded step"
    unreached: tuple[str, ...]  # trainable parameters of stepping optimizers no backward reached
    used: tuple[str, ...]  # of `unreached`, those that took part in some recorded operation
    cuts: tuple[Cut, ...]
    amplifications: tuple[Amplification, ...] = ()
    checkpointed: tuple[Checkpointed, ...] = ()
    inputs: tuple[InputPath, ...] = ()
    zeroed: tuple[str, ...] = ()  # trained; reach a loss, but only times the number 0
    operations: int = 0  # traced in the recorded steps
