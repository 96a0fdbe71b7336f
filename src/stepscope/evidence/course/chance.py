"""Cross-entropies over the run, against the value of equal probabilities."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class CrossEntropyBegan(Happening, frozen=True, kw_only=True):
    """A line called `cross_entropy`, with gradients on and a mean asked for, for the first time."""

    number: int  # among such lines
    candidates: int  # N: logits of a row then


class CrossEntropies(Evidence, frozen=True, kw_only=True):
    """The lines of the run that call `cross_entropy` to train."""

    obtained_by: ClassVar[str] = "a cross-entropy over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = CrossEntropyBegan
    seen: tuple[tuple[int, CrossEntropyBegan], ...]
    count: int


class ChanceCurves(Evidence, frozen=True, kw_only=True):
    """At sampled steps, by number of the line, the last value of the step.

    `2.ratio` is the value over ln N, where N is the number of candidates of that very call, and
    `2.candidates` is N. What the call's first 64 rows do not agree on is nan.
    """

    obtained_by: ClassVar[str] = "a cross-entropy over the run (`stepscope run`)"
    subject: ClassVar[str] = "chance"
    series: dict[str, Series]
