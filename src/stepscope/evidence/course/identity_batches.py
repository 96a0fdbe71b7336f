"""Batches that a sampler composes of so many samples of each identity."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.series import Series


class IdentitySamplerBegan(Happening, frozen=True, kw_only=True):
    """A loader is iterated whose sampler promises K samples of an identity. `at` is the line."""

    number: int  # among such loaders
    sampler: str  # class name
    setting: str  # "num_instances=4"


class IdentitySamplers(Evidence, frozen=True, kw_only=True):
    """The samplers that make such a promise."""

    obtained_by: ClassVar[str] = "a sampler that promises K samples of an identity"
    happening: ClassVar[type[Happening]] = IdentitySamplerBegan
    seen: tuple[tuple[int, IdentitySamplerBegan], ...]
    count: int


class IdentityCurves(Evidence, frozen=True, kw_only=True):
    """Of the last batch of each such loader before a sampled step is over, by its number.

    `0.kept` is the share of its rows whose label occurs K times or a multiple of it, and
    `0.labels` counts the different ones: of the labels, among all whole numbers that the batch has
    a row of, that keep the promise best.
    """

    obtained_by: ClassVar[str] = "a batch with labels, of a sampler that promises K of each"
    subject: ClassVar[str] = "identities"
    series: dict[str, Series]
