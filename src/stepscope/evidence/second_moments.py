"""Modules whose gradients an optimizer remembers as far larger than those of all others."""

import math
import statistics

import msgspec

from stepscope.evidence.checkpoint_file import CheckpointFile

FEWEST = 4  # modules with second moments; among fewer, none is out of line


class Outlier(msgspec.Struct, frozen=True, kw_only=True):
    """A module, and how far its gradients stand above the rest."""

    module: str
    rms: float  # root of the mean second moment of its elements
    median: float  # of the modules
    next_below: float  # the largest rms that is no outlier


def outliers(file: CheckpointFile, *, over_median: float, gap: float) -> tuple[Outlier, ...]:
    """Return the modules above the widest gap, where they are few and the gap is wide.

    A module is told by the name of its parameters without the last part. Those above a gap are
    outliers if all of them exceed `over_median` times the median of the modules and at least `gap`
    times the largest below, and if they are less than half of the modules.
    """
    rms = module_rms(file)
    ranked = sorted(rms.items(), key=lambda pair: -pair[1])
    if len(ranked) < FEWEST:
        return ()
    median = statistics.median(rms.values())
    cuts = [
        at
        for at in range(1, (len(ranked) + 1) // 2)
        if ranked[at - 1][1] >= gap * ranked[at][1] and ranked[at - 1][1] >= over_median * median
    ]
    if not cuts:
        return ()
    cut = max(cuts)
    return tuple(
        Outlier(module=name, rms=value, median=median, next_below=ranked[cut][1])
        for name, value in ranked[:cut]
    )


def module_rms(file: CheckpointFile) -> dict[str, float]:
    """Return the root mean second moment of each module that has one above 0."""
    sums: dict[str, tuple[float, int]] = {}
    for optimizer in file.optimizers:
        for slot in optimizer.slots:
            if not slot.parameter or slot.second_moment is None or slot.shape is None:
                continue
            elements = math.prod(slot.shape)
            module = slot.parameter.rpartition(".")[0] or slot.parameter
            total, count = sums.get(module, (0.0, 0))
            sums[module] = total + slot.second_moment * elements, count + elements
    return {name: math.sqrt(total / count) for name, (total, count) in sums.items() if total > 0}
