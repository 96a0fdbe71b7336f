"""Banks of embeddings: queues and memories that a module keeps in a buffer."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series

KEPT, WRITTEN, TWINS = "kept", "written", "twins"
SHORTEST, LONGEST = "shortest", "longest"


class BankFound(Happening, frozen=True, kw_only=True):
    """A buffer of two dimensions, called a queue, a bank or a memory, as it was first seen."""

    name: str  # qualified
    entries: int
    size: int  # numbers of an entry
    dtype: str
    spread: float  # participation ratio of the entries' directions; 1: they are all one
    lower: float  # quartiles of the norms: the first step has written some entries already
    upper: float

    @property
    def is_noise(self) -> bool:
        """Whether its directions are spread as evenly as random ones, which features never are.

        n random directions in d dimensions have a participation ratio of about n d / (n + d).
        """
        sampled = min(self.entries, SAMPLED)
        return self.spread > EVENLY * sampled * self.size / (sampled + self.size)


SAMPLED = 1024  # entries from which the spread is computed
EVENLY = 0.8  # of the spread of random directions


class BanksFound(Evidence, frozen=True, kw_only=True):
    """All banks of the live models."""

    obtained_by: ClassVar[str] = "a bank of embeddings in a buffer"
    happening: ClassVar[type[Happening]] = BankFound
    seen: tuple[tuple[int, BankFound], ...]
    count: int


class BankCurves(Evidence, frozen=True, kw_only=True):
    """At a few steps, by the name of the bank and what was measured: `dhn.queue kept`.

    `kept` is the share of the entries that are still those of the first look, and `written` that of
    the entries which the look before did not know. Of the entries that are not kept, `twins` is the
    share that equal another one, and `shortest` and `longest` are their norms.
    """

    obtained_by: ClassVar[str] = "a bank of embeddings in a buffer"
    subject: ClassVar[str] = "bank"
    series: dict[str, Series]

    def of(self, bank: str, what: str) -> Series:
        """Return one curve; an empty one where nothing was measured."""
        return self.series.get(f"{bank} {what}", Series((), ()))
