"""A loss stays where a model without any knowledge would be.

## What it proves
For at least 20 steps every value of the loss lies within 3 % of ln N, the value that equal
probabilities for all N candidates of that step give, and the values do not fall by more than their
own scatter. N is read from the logits of each call, so a change of N (a memory bank that switches
on) is not mistaken for a change of the loss. Label smoothing and class weights leave ln N as it is.

## Why it matters
A loss of 1.386 that does not move is ln 4: four candidates, nothing learned. Seen as a bare
number it looks like a small loss. Usual causes: inputs that carry no information, labels that do
not belong to them, updates lost to precision, a learning rate that is far too small.

## What to do
Check that the parameters behind the logits move (FRZ007, OPT007), that the gradient reaches them
(GRD001), and that one batch can be learned by heart.

## Limits
Needs 20 steps. Not judged while the learning rate is still rising, as a warm-up has then not ended.
A very slow start can look the same; hence a warning.

## Sources
- Cross-entropy of equal probabilities: -sum_i q_i ln(1/N) = ln N for any targets q that sum to 1.
- 3 % and 20 steps: the spread of a batch mean of a few hundred rows near chance is about 1 %.
"""

import math
from statistics import fmean, stdev

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.losses import LossCall, LossCalls
from stepscope.evidence.optimizers import Optimizers


@rule("LOS003", Severity.WARNING)
def at_chance(
    losses: LossCalls, optimizers: Optimizers | None, *, steps: int = 20, within: float = 0.03
) -> Findings:
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
