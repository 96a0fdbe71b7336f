"""The loss stops being a number, loses what it had learned, or never learns.

## What it proves
- Error: the total loss was nan or inf at five sampled steps in a row.
- Warning: a cross-entropy had fallen clearly below its first values, and lay above them at the last
  20 sampled steps: all that was learned is lost. Values are taken relative to ln N of each call.
- Note, at the end of a run of 1000 steps and more: a cross-entropy was not lower in the last
  quarter than in the first.

## Why it matters
After nan nothing is learned any more, and checkpoints are spoiled. A relapse costs all steps since
the best one; it comes from a rate that is too high, a bad batch, or a state that was lost.

## What to do
Go back to a checkpoint before the step that is named. Lower the learning rate, clip gradients, look
at the batches of that step, and at what was switched on there.

## Limits
A single nan that a scaler or the program itself skips is left alone. Losses other than
cross-entropies are judged only for being finite: in games and reinforcement learning they rise in
good health. A model that begins well trained may have nothing left to gain; hence a note.

## Sources
- When nothing changes, 20 values lie above the median of the first ten by chance in 2 of 1000 runs:
  C(10, 5) / C(30, 5). A median of ten scatters by 0.37 standard deviations of a value, the
  difference of two by 0.53: the best of 1000 lies 3 standard deviations below the first in one of
  10^5 runs. Both together: one of 10^7.
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean, median

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.chance import ChanceCurves, CrossEntropies
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.loss_curves import LossCurves

NOT_FINITE = 5  # sampled steps in a row
WINDOW = 10  # values of a median
RELAPSED = 20  # last values
CLEARLY = 3.0  # standard deviations of a value
LONG = 1000  # steps
QUARTER = 16  # values, at least, of the first and the last quarter

Points = list[tuple[int, float]]


@rule("RUN010", Severity.WARNING)
def divergence(
    losses: LossCurves,
    curves: ChanceCurves | None,
    called: CrossEntropies | None,
    endings: Endings | None,
) -> Findings:
    longest = max(map(len, losses.series.values()))
    if longest < NOT_FINITE:
        raise NotJudged(f"{longest} sampled steps of the {NOT_FINITE} it needs")
    total = losses.series.get("total")
    yield from _not_finite(list(total)) if total is not None else ()
    for _, each in called.seen if curves is not None and called is not None else ():
        ratio = curves.series[f"{each.number}.ratio"] if curves is not None else ()
        points = [(step, value) for step, value in ratio if math.isfinite(value)]
        lost = list(_relapse(points, each.at))
        yield from lost
        if not lost and endings is not None and endings.steps is not None:
            yield from _plateau(points, each.at)


def _not_finite(points: Points) -> Iterable[Finding]:
    in_a_row: Points = []
    for step, value in points:
        in_a_row = [] if math.isfinite(value) else [*in_a_row, (step, value)]
        if len(in_a_row) == NOT_FINITE:
            yield Finding(
                subject="total loss",
                message="is no longer a number",
                measured=f"{in_a_row[0][1]} at step {in_a_row[0][0]} and at the next "
                f"{NOT_FINITE - 1} sampled steps",
                expected="finite values",
                severity=Severity.ERROR,
            )
            return


def _relapse(points: Points, at: Place) -> Iterable[Finding]:
    values = [value for _, value in points]
    if len(values) < WINDOW + RELAPSED + WINDOW:
        return
    first, last = median(values[:WINDOW]), values[-RELAPSED:]
    best, where = min(
        (median(values[place : place + WINDOW]), place)
        for place in range(len(values) - RELAPSED - WINDOW)
    )
    if first - best > CLEARLY * _scatter(values[: where + WINDOW]) and min(last) > first:
        yield Finding(
            subject="cross_entropy",
            message="has lost all that it had learned",
            measured=f"{first:.3f} times ln N at first, {best:.3f} about step {points[where][0]}, "
            f"{median(last):.3f} in the last {RELAPSED} sampled steps",
            expected=f"below {first:.3f}",
            at=at,
        )


def _plateau(points: Points, at: Place) -> Iterable[Finding]:
    quarter = len(points) // 4
    if quarter < QUARTER or points[-1][0] - points[0][0] < LONG:
        return
    first = [value for _, value in points[:quarter]]
    last = [value for _, value in points[-quarter:]]
    if fmean(last) >= fmean(first):
        yield Finding(
            subject="cross_entropy",
            message="was not lower at the end of the run than at its beginning",
            measured=f"{fmean(first):.3f} times ln N in the first quarter of "
            f"{points[-1][0] - points[0][0]} steps, {fmean(last):.3f} in the last",
            expected="a loss that falls",
            at=at,
            severity=Severity.NOTE,
        )


def _scatter(values: list[float]) -> float:
    """Return the standard deviation of a value about the trend, by its neighbours.

    Source: von Neumann et al., "The mean square successive difference", Ann. Math. Stat. 12, 1941.
    """
    return math.sqrt(fmean((after - before) ** 2 for before, after in pairwise(values)) / 2)


def _seen(*values: float, every: int = 1) -> tuple[LossCurves, ChanceCurves, CrossEntropies]:
    """Return a run with one cross-entropy that had these values, in units of ln N."""
    from stepscope.evidence.course.chance import CrossEntropyBegan
    from stepscope.evidence.course.series import Series

    steps = tuple(each * every for each in range(len(values)))
    return (
        LossCurves(series={"total": Series(steps, values)}),
        ChanceCurves(series={"0.ratio": Series(steps, values)}),
        CrossEntropies(seen=((0, CrossEntropyBegan(number=0, candidates=10)),), count=1),
    )


def fails_with_an_error_when_the_loss_is_nan_from_a_step_on(_: Watch) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for factor in [1.0] * 3 + [float("nan")] * 5:
        optimizer.zero_grad()
        (weight * factor).sum().backward()
        optimizer.step()


def passes_when_it_is_nan_four_times(_: Watch) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for factor in [1.0] * 3 + [float("nan")] * 4 + [1.0]:
        optimizer.zero_grad()
        loss = (weight * factor).sum()
        loss.backward()
        if torch.isnan(loss):
            optimizer.zero_grad()
        optimizer.step()


def fails_with_a_warning_when_twenty_values_lie_above_the_first(watch: Watch) -> None:
    watch.saw(*_seen(*[1.0] * 10, *[0.8, 0.75] * 10, *[1.01] * 20))


def passes_when_one_of_them_lies_below(watch: Watch) -> None:
    watch.saw(*_seen(*[1.0] * 10, *[0.8, 0.75] * 10, *[1.01] * 19, 0.99))


def passes_when_nothing_had_been_learned(watch: Watch) -> None:
    watch.saw(*_seen(*[1.0] * 10, *[0.9, 1.1] * 10, *[1.01] * 20))


def fails_with_a_note_when_a_long_run_has_gained_nothing(watch: Watch) -> None:
    from stepscope.evidence.course.endings import RunEnded

    ended = Endings(seen=((1008, RunEnded(finished=True)),), count=1)
    watch.saw(*_seen(*[1.0, 1.2] * 32, every=16), ended)


def passes_when_it_has_gained_a_little(watch: Watch) -> None:
    from stepscope.evidence.course.endings import RunEnded

    ended = Endings(seen=((1008, RunEnded(finished=True)),), count=1)
    watch.saw(*_seen(*[1.0, 1.2] * 31, 1.0, 1.19, every=16), ended)


def skips_four_steps(_: Watch) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    for _step in range(4):
        optimizer.zero_grad()
        (weight * float("nan")).sum().backward()
        optimizer.step()
