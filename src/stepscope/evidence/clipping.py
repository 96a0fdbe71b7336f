"""What clips all gradients by their common norm, and which steps a `GradScaler` left out."""

import math
from collections.abc import Collection
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class Clip(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `clip_grad_norm_` or `clip_grads_with_norm_`."""

    step: int  # recorded optimizer steps before it
    max_norm: float
    norm_type: float  # 2: Euclidean; inf: the largest element
    total: float  # the common norm by which it clipped; may be nan or inf
    parameters: tuple[str, ...]  # of those that held a gradient
    norms: tuple[
        float, ...
    ]  # of each of these gradients, before it; nan where the gradient has one
    at: Place = Place()

    def norm_of(self, names: Collection[str]) -> float:
        """Return the common norm of the gradients of some of the parameters."""
        chosen = [n for p, n in zip(self.parameters, self.norms, strict=True) if p in names]
        if not all(math.isfinite(norm) for norm in chosen):
            return math.nan if any(map(math.isnan, chosen)) else math.inf
        if not chosen or math.isinf(self.norm_type):
            return max(chosen, default=0.0)
        return float(sum(norm**self.norm_type for norm in chosen) ** (1 / self.norm_type))

    def factor(self, norm: float) -> float:
        """Return what it multiplies gradients by, whose common norm is this."""
        return min(1.0, self.max_norm / (norm + 1e-6))  # the constant is torch's own


class Clips(Evidence, frozen=True, kw_only=True):
    """Every clipping by a common norm, in order."""

    obtained_by: ClassVar[str] = "a call of clip_grad_norm_"
    clips: tuple[Clip, ...]


class SkippedStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step that a `GradScaler` left out, and the gradients that were the reason."""

    step: int  # recorded optimizer steps before it
    optimizer: int  # index into `Optimizers.optimizers`
    non_finite: tuple[str, ...]  # parameters whose gradient holds inf or nan
    finite: tuple[str, ...]  # the others that held a gradient
    at: Place = Place()


class SkippedSteps(Evidence, frozen=True, kw_only=True):
    """Every step that a `GradScaler` left out, in order."""

    obtained_by: ClassVar[str] = "a step that GradScaler skipped"
    steps: tuple[SkippedStep, ...]
