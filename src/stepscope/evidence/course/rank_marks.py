"""What one process of a distributed run notes, now and then, so that it can be compared."""

from typing import ClassVar

from stepscope.core import Evidence
from stepscope.evidence.course.series import Series

STEPS, PARAMETERS, STATISTICS, BATCH = "steps", "parameters", "statistics", "batch"


def mark_name(optimizer: int, *parts: str) -> str:
    """Return the name of a number: by the optimizer's position, then what it is of."""
    return "/".join((str(optimizer), *parts))


class RankMarks(Evidence, frozen=True, kw_only=True):
    """After chosen steps of an optimizer: fingerprints of 48 bits, equal where the bits are.

    `0/steps` counts what the first optimizer has taken; `0/parameters/<wrapper>/<part>` and
    `0/statistics/<wrapper>/<part>` are of a part of what a wrapper holds, and `0/batch` is of the
    last batch before the step: -1 where all its values are the same, so that it says nothing.
    """

    obtained_by: ClassVar[str] = "a wrapper of torch.distributed over the run (`stepscope run`)"
    subject: ClassVar[str] = "rank"
    series: dict[str, Series]

    def by_moment(self) -> dict[tuple[int, int], dict[str, float]]:
        """Return the fingerprints by optimizer and the steps that it has taken.

        Steps of the run may be counted differently on each rank; those of one optimizer are not.
        """
        named = [(*name.partition("/"), series) for name, series in self.series.items()]
        counts = {
            (optimizer, step): int(count)
            for optimizer, _, what, series in named
            if what == STEPS
            for step, count in series
        }
        found: dict[tuple[int, int], dict[str, float]] = {}
        for optimizer, _, what, series in named:
            for step, value in series:
                if what != STEPS and (optimizer, step) in counts:
                    moment = int(optimizer), counts[optimizer, step]
                    found.setdefault(moment, {})[what] = value
        return dict(sorted(found.items()))
