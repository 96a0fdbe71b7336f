"""Which data the run has seen."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class LoaderBegan(Happening, frozen=True, kw_only=True):
    """A `DataLoader` was iterated for the first time. `at` is the line that did it."""

    number: int  # among the loaders of the run
    dataset: str  # class name
    size: int | None  # samples of the data set; None: it does not tell
    batches: int | None  # of one pass
    batch_size: int | None
    workers: int
    shuffled: bool
    sequential: bool  # in the order of the data set, each pass alike
    drop_last: bool
    persistent: bool  # its workers live on from pass to pass
    seeds_workers: bool  # it was given a `worker_init_fn`
    generators: tuple[str, ...] = ()  # random ones that each worker gets a copy of: "transform.rng"


class LoaderBeginnings(Evidence, frozen=True, kw_only=True):
    """The loaders of the run, those of its evaluations among them."""

    obtained_by: ClassVar[str] = "a torch DataLoader over the run (`stepscope run`)"
    happening: ClassVar[type[Happening]] = LoaderBegan
    seen: tuple[tuple[int, LoaderBegan], ...]
    count: int


class CoverageCurves(Evidence, frozen=True, kw_only=True):
    """For each loader, what has come of it when a sampled step is over.

    `3.batches` that it has given, `3.passes` that were begun, `3.longest` batches of one pass, and
    `3.fed` optimizer steps before which it was the last to give a batch.
    """

    obtained_by: ClassVar[str] = "a torch DataLoader over the run (`stepscope run`)"
    subject: ClassVar[str] = "coverage"
    series: dict[str, Series]

    def latest(self, number: int, what: str) -> int:
        """Return what was counted last of a loader: 0 of one that was seen after that."""
        curve = self.series.get(f"{number}.{what}")
        return int(curve.values[-1]) if curve is not None else 0

    def feeding(self, loaders: LoaderBeginnings) -> LoaderBegan | None:
        """Return the loader that fed most of the optimizer's steps; None if none did."""
        most = max((each for _, each in loaders.seen), key=lambda it: self.latest(it.number, "fed"))
        return most if self.latest(most.number, "fed") else None
