"""How alike the embeddings of a contrastive loss are."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class ContrastFound(Happening, frozen=True, kw_only=True):
    """A cross-entropy over the product of two sets of features. `at` is the line that called it."""

    name: str  # "1": the first line with one


class Contrasts(Evidence, frozen=True, kw_only=True):
    """All lines with such a loss."""

    obtained_by: ClassVar[str] = "a matrix product that feeds a cross-entropy (`stepscope run`)"
    happening: ClassVar[type[Happening]] = ContrastFound
    seen: tuple[tuple[int, ContrastFound], ...]
    count: int


class EmbeddingCurves(Evidence, frozen=True, kw_only=True):
    """At a few steps, the mean cosine between two different rows of each operand: `1 left`.

    Read from the first call of the line in a step, from at most 1024 rows, of four at least.
    """

    obtained_by: ClassVar[str] = "a matrix product that feeds a cross-entropy (`stepscope run`)"
    subject: ClassVar[str] = "embedding"
    series: dict[str, Series]
