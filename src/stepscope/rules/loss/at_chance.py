"""A loss stays where a model without any knowledge would be.

## What it proves
For at least 20 steps every value of the loss lies within 3 % of ln N, the value that equal
probabilities for all N candidates of that step give, and the values do not fall by more than their
own scatter. N is read from the logits of each call, so a change of N (a memory bank that switches
on) is not mistaken for a change of the loss. Label smoothing and class weights leave ln N as it is.
In a run that is watched, this holds for 20 sampled steps and more which span 200 steps, or the run
has ended.

## Why it matters
A loss of 1.386 that does not move is ln 4: four candidates, nothing learned. Seen as a bare
number it looks like a small loss. Usual causes: inputs that carry no information, labels that do
not belong to them, updates lost to precision, a learning rate that is far too small.

## What to do
Check that the parameters behind the logits move (FRZ007, OPT007), that the gradient reaches them
(GRD001), and that one batch can be learned by heart.

## Limits
Needs 20 steps. Not judged while the learning rate is still rising, as a warm-up has then not ended,
and steps before its last rise do not count in a run that is watched.
A very slow start can look the same; hence a warning.

## Sources
- Cross-entropy of equal probabilities: -sum_i q_i ln(1/N) = ln N for any targets q that sum to 1.
- 3 % and 20 steps: the spread of a batch mean of a few hundred rows near chance is about 1 %.
"""

import math
from collections.abc import Iterable
from itertools import pairwise
from statistics import fmean, stdev

from stepscope.core import Evidence, Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.chance import ChanceCurves, CrossEntropies
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.rate_curves import RateCurves
from stepscope.evidence.course.series import Series
from stepscope.evidence.environment import Beginning
from stepscope.evidence.losses import LossCall, LossCalls
from stepscope.evidence.optimizers import Optimizers

SPAN = 200  # steps of a run: a slow start is over by then


@rule("LOS003", Severity.WARNING)
def at_chance(
    losses: LossCalls | None,
    optimizers: Optimizers | None,
    beginning: Beginning | None,
    curves: ChanceCurves | None,
    called: CrossEntropies | None,
    rates: RateCurves | None,
    endings: Endings | None,
    *,
    steps: int = 20,
    within: float = 0.03,
) -> Findings:
    if curves is not None and called is not None and rates is not None:
        span = steps if endings is not None and endings.steps is not None else max(SPAN, steps)
        try:
            yield from _over_the_run(curves, called, rates, losses, span, steps, within)
        except NotJudged:
            if losses is None or len({call.step for call in losses.calls}) < steps:
                raise
        else:
            return
    if losses is None or beginning is None:
        raise NotJudged("needs a cross-entropy that reaches a backward")
    yield from _in_a_window(losses, optimizers, steps, within)


def _over_the_run(
    curves: ChanceCurves,
    called: CrossEntropies,
    rates: RateCurves,
    losses: LossCalls | None,
    span: int,
    steps: int,
    within: float,
) -> Iterable[Finding]:
    since = _last_rise(rates)
    unused = {call.at for call in losses.calls if not call.reaches_backward} if losses else set()
    seen = [(each, _since(curves.series[f"{each.number}.ratio"], since)) for _, each in called.seen]
    long_enough = [
        (each, curve)
        for each, curve in seen
        if len(curve) >= steps and curve[-1][0] - curve[0][0] + 1 >= span
    ]
    if not long_enough:
        raise NotJudged(f"needs {steps} sampled steps that span {span}, none of a rising rate")
    for each, curve in long_enough:
        ratios = [ratio for _, ratio in curve]
        away = max(abs(ratio - 1) for ratio in ratios)
        if each.at in unused or not away <= within or _falls(ratios):  # nan: N differs by row
            continue
        sizes = sorted({int(n) for _, n in curves.series[f"{each.number}.candidates"]})
        yield Finding(
            subject="cross_entropy",
            message="stays at the value of equal probabilities",
            measured=f"{min(ratios):.3f} to {max(ratios):.3f} times ln N at {len(ratios)} sampled "
            f"steps from {curve[0][0]} to {curve[-1][0]}; N = {', '.join(map(str, sizes[:4]))}",
            expected=f"to leave ln N by more than {within:.0%}, or to fall",
            at=each.at,
        )


def _last_rise(rates: RateCurves) -> int:
    """Return the step at which a learning rate was last higher than before."""
    return max(
        (
            step
            for curve in rates.series.values()
            for (_, before), (step, now) in pairwise(curve)
            if now > before
        ),
        default=0,
    )


def _since(curve: Series, step: int) -> list[tuple[int, float]]:
    return [each for each in curve if each[0] >= step]


def _in_a_window(
    losses: LossCalls, optimizers: Optimizers | None, steps: int, within: float
) -> Iterable[Finding]:
    lines: dict[Place, list[LossCall]] = {}
    for call in losses.calls:
        if call.function == "cross_entropy" and call.reaches_backward and call.reduction == "mean":
            lines.setdefault(call.at, []).append(call)
    if not lines:
        raise NotJudged("needs a cross-entropy that reaches a backward")
    seen = max(len({call.step for call in calls}) for calls in lines.values())
    if seen < steps:
        raise NotJudged(f"{seen} steps of the {steps} it needs")
    if optimizers is not None and any(
        g.lr_next > max(g.lrs, default=0.0) for g in optimizers.groups
    ):
        raise NotJudged("the learning rate is still rising")
    for at, calls in lines.items():
        ratios = [call.value / math.log(call.candidates) for call in calls if _has_chance(call)]  # type: ignore[operator,arg-type]  # both known
        if len({call.step for call in calls}) < steps or len(ratios) < len(calls):
            continue
        if max(abs(ratio - 1) for ratio in ratios) > within or _falls(ratios):
            continue
        sizes = sorted({call.candidates for call in calls if call.candidates})
        yield Finding(
            subject=f"{calls[0].function} in {calls[0].module}"
            if calls[0].module
            else calls[0].function,
            message="stays at the value of equal probabilities",
            measured=f"{len(ratios)} values from {min(ratios):.3f} to {max(ratios):.3f} times ln N;"
            f" N = {', '.join(map(str, sizes[:4]))}",
            expected=f"to leave ln N by more than {within:.0%} within {steps} steps, or to fall",
            at=at,
        )


def _has_chance(call: LossCall) -> bool:
    return call.value is not None and call.candidates is not None and call.candidates > 1


def _falls(ratios: list[float]) -> bool:
    """Tell whether the second half lies below the first by more than the error of their means."""
    half = len(ratios) // 2
    first, second = ratios[:half], ratios[half:]
    error = math.hypot(stdev(first), stdev(second)) / math.sqrt(half)
    return fmean(first) - fmean(second) > error


def fails_when_the_labels_are_noise_and_nothing_moves(_: Watch) -> None:
    import torch

    torch.manual_seed(0)
    model = torch.nn.Linear(4, 3)
    torch.nn.init.normal_(model.weight, std=0.01)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-9)
    for _step in range(20):
        optimizer.zero_grad()
        logits = model(torch.randn(64, 4))
        torch.nn.functional.cross_entropy(logits, torch.randint(3, (64,))).backward()
        optimizer.step()


def passes_when_the_loss_lies_four_percent_away(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([bias], lr=1e-9)
    for _step in range(20):
        optimizer.zero_grad()
        logits = torch.stack([bias + torch.tensor([0.0, 0.057])] * 8)
        torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()


def fails_when_the_loss_lies_two_percent_away(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([bias], lr=1e-9)
    for _step in range(20):
        optimizer.zero_grad()
        logits = torch.stack([bias + torch.tensor([0.0, 0.028])] * 8)
        torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()


def passes_when_the_loss_falls_slowly(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([bias], lr=1e-3)
    for _step in range(20):
        optimizer.zero_grad()
        logits = torch.stack([bias] * 8)
        torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()


def skips_when_there_are_nineteen_steps(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([bias], lr=1e-9)
    for _step in range(19):
        optimizer.zero_grad()
        logits = torch.stack([bias] * 8)
        torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()


def skips_when_the_learning_rate_is_still_rising(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.SGD([bias], lr=1e-6)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: step / 1000)
    for _step in range(20):
        optimizer.zero_grad()
        logits = torch.stack([bias] * 8)
        torch.nn.functional.cross_entropy(logits, torch.zeros(8, dtype=torch.long)).backward()
        optimizer.step()
        schedule.step()


def _flat(values: int, last: int) -> tuple[Evidence, ...]:
    """Return what a run at chance looks like: so many sampled steps, up to a last one."""
    from stepscope.evidence.course.chance import CrossEntropyBegan

    steps = tuple(round(each * last / (values - 1)) for each in range(values))
    return (
        ChanceCurves(
            series={
                "0.ratio": Series(steps, (1.02, 0.98) * (values // 2)),
                "0.candidates": Series(steps, (1000.0,) * values),
            }
        ),
        CrossEntropies(seen=((0, CrossEntropyBegan(number=0, candidates=1000)),), count=1),
        RateCurves(series={"0.0": Series(steps, (0.1,) * values)}),
    )


def fails_when_twenty_sampled_steps_span_two_hundred(watch: Watch) -> None:
    watch.saw(*_flat(20, last=199))


def skips_when_they_span_less_and_the_run_goes_on(watch: Watch) -> None:
    from stepscope.evidence.course.endings import RunEnded

    watch.saw(*_flat(20, last=198), Endings(seen=((199, RunEnded(finished=False)),), count=1))
