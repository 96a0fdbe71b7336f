"""What gradient each parameter received, and from which backward calls."""

import functools
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class Gradient(msgspec.Struct, frozen=True, kw_only=True):
    """The gradient of one parameter as the optimizer step found it, one entry a recorded step.

    A step of another optimizer than the parameter's own counts too: what was there is recorded.
    """

    parameter: str
    norms: tuple[float | None, ...]  # Euclidean; None: no gradient; nan or inf where not finite
    largest: tuple[float | None, ...]  # max |element|
    nbytes: int  # held by the gradient, 0 where there never was one
    reached: tuple[bool, ...]  # whether a backward of the step reached it through the graph
    in_trained_root: bool = True  # an optimizer holds some parameter of the same root module

    @property
    def ever_nonzero(self) -> bool:
        """Whether any recorded step found an element other than 0; nan is other than 0."""
        return any(largest is not None and largest != 0 for largest in self.largest)

    @property
    def ever_brought(self) -> bool:
        """Whether some backward of a recorded step left such an element, not one long before."""
        return any(
            reached and largest is not None and largest != 0
            for reached, largest in zip(self.reached, self.largest, strict=True)
        )


class Gradients(Evidence, frozen=True, kw_only=True, dict=True):  # dict: for what is cached
    """The gradients of all parameters that require one, or hold one."""

    obtained_by: ClassVar[str] = "a backward call"
    gradients: tuple[Gradient, ...]

    def of(self, parameter: str) -> Gradient | None:
        """Return the gradient of this parameter."""
        return self._by_parameter.get(parameter)

    @functools.cached_property
    def _by_parameter(self) -> dict[str, Gradient]:
        return {each.parameter: each for each in reversed(self.gradients)}  # of several, the first


class BackwardRoot(msgspec.Struct, frozen=True, kw_only=True):
    """One tensor on which a backward was started."""

    step: int  # optimizer steps taken before
    value: float | None  # of a single-element root, before any scaling by a GradScaler
    scaled_by: float = 1.0  # the GradScaler's factor
    shape: tuple[int, ...]
    reached: int  # parameters of the optimizers it reaches
    at: Place


class BackwardRoots(Evidence, frozen=True, kw_only=True):
    """Every backward call of the recorded steps."""

    obtained_by: ClassVar[str] = "a backward call"
    roots: tuple[BackwardRoot, ...]
