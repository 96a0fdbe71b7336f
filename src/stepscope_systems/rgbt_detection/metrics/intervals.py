"""How sure a figure is: over the images it was measured on, and over the seeds it was trained with.

The two answer different questions. Resampling images says what another test set would have
given; seeds say what another training would have. A claim that one method beats another needs
the second, on differences of runs with equal seeds.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

Image = TypeVar("Image")


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A figure and where it lies with the stated confidence."""

    value: float  # bootstrap: of all images; t: the mean of the seeds
    low: float
    high: float
    confidence: float  # .95
    method: Literal["bootstrap over images", "t over seeds"]
    count: int  # images or seeds
    undefined: int = 0  # resamples that gave no number: nobody to be found in them

    def __str__(self) -> str:
        of = "images" if self.method == "bootstrap over images" else "seeds"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}] ({self.count} {of})"


def bootstrap_over_images(
    images: Sequence[Image],
    metric: Callable[[Sequence[Image]], float],
    *,
    seed: int,
    resamples: int = 1000,
    confidence: float = 0.95,
) -> Interval:
    """Return the percentile interval of a metric when whole images are drawn with replacement.

    An image is whatever the metric takes: a Result, or a pair of Results of two detectors, for
    the interval of their difference on the same images. The metric runs `resamples` + 1 times.
    Source: Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.

    Raises:
        ValueError: the metric of all the images is no number.
    """
    value = metric(images)
    if not np.isfinite(value):
        raise ValueError(
            f"the metric of all {len(images)} images is {value}; expected a number: there is "
            "nothing to be found in them, so choose another subset or condition"
        )
    random = np.random.default_rng(seed)
    drawn = np.empty(resamples)
    for number in range(resamples):
        rows = random.integers(len(images), size=len(images))
        drawn[number] = metric([images[row] for row in rows])
    tail = (1 - confidence) / 2
    low, high = np.nanquantile(drawn, (tail, 1 - tail)).tolist()
    return Interval(
        value=value,
        low=low,
        high=high,
        confidence=confidence,
        method="bootstrap over images",
        count=len(images),
        undefined=int(np.isnan(drawn).sum()),
    )


def over_seeds(values: Sequence[float], *, confidence: float = 0.95) -> Interval:
    """Return Student's interval of the mean over runs that differ by their seed alone.

    For a comparison give the differences of runs with equal seeds: 0 outside is the evidence.

    Raises:
        ValueError: there are fewer than two values, or one is no number.
    """
    table = np.asarray(values, dtype=np.float64)
    count = len(table)
    if count < 2 or not np.isfinite(table).all():  # noqa: PLR2004 - a spread needs two
        raise ValueError(
            f"values are {list(values)}; expected two or more finite numbers, one for each seed: "
            "one run has no spread, so train with another seed"
        )
    mean = float(table.mean())
    quantile = float(stdtrit(count - 1, (1 + confidence) / 2))
    half = quantile * float(table.std(ddof=1)) / np.sqrt(count)
    return Interval(
        value=mean,
        low=float(mean - half),
        high=float(mean + half),
        confidence=confidence,
        method="t over seeds",
        count=count,
    )
