"""A loss that takes logits is given probabilities, or the reverse.

## What it proves
`cross_entropy` takes the softmax itself, and `binary_cross_entropy_with_logits` the sigmoid. The
input's rows are non-negative and sum to 1, or the last operation on it was a sigmoid: so the
function is applied twice. `nll_loss` takes logarithms of probabilities; its input holds the
probabilities themselves, or rows whose probabilities sum to more than 1.
It is an error where the graph shows the softmax or sigmoid, else a warning.

## Why it matters
Nothing raises, and the loss falls a little. A softmax of probabilities cannot come near 0 or 1:
with 10 classes a perfect model still has a loss of 1.46, and gradients are smaller throughout.

## What to do
Hand the loss the output of the last linear layer, and take the softmax only to predict.

## Limits
Only the functions of `torch.nn.functional` (and the modules that call them) are watched. A sigmoid
that something else follows (a rescaling, say) is not judged. Rows are sampled: at most 256 a call.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html
- https://docs.pytorch.org/docs/stable/generated/torch.nn.NLLLoss.html
- Rows that sum to 1 within 1e-3 (float32) or 3e-2 (bfloat16): rounding of a softmax in that dtype.
- 1.05 for `nll_loss`: models that mix or clamp probabilities exceed 1 by rounding only.
"""

import math

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.losses import LossCall, LossCalls


@rule("LOS008", Severity.ERROR)
def probabilities_as_logits(losses: LossCalls, *, most_probability: float = 1.05) -> Findings:
    judged: set[Place] = set()
    for call in losses.calls:
        if call.at in judged or not call.reaches_backward:
            continue
        said = _wrong(call, math.log(most_probability))
        if said is not None:
            judged.add(call.at)
            message, expected, proved = said
            yield Finding(
                subject=f"{call.function} in {call.module}" if call.module else call.function,
                message=message,
                measured=f"input in [{call.lowest:.4g}, {call.highest:.4g}]"
                + (", every row sums to 1" if call.sums_to_one else "")
                + (f", made by {call.produced_by}" if call.produced_by else ""),
                expected=expected,
                at=call.at,
                severity=None if proved else Severity.WARNING,
            )


def _wrong(call: LossCall, most: float) -> tuple[str, str, bool] | None:
    """Return what is wrong, what is expected, and whether the graph shows it."""
    if call.function == "cross_entropy" and call.sums_to_one:
        return (
            "is given probabilities: softmax is applied twice",
            "logits",
            call.produced_by == "softmax",
        )
    if call.function == "binary_cross_entropy_with_logits" and call.produced_by == "sigmoid":
        return "is given the output of a sigmoid: it is applied twice", "logits", True
    if call.function == "nll_loss":
        if call.sums_to_one:
            proved = call.produced_by == "softmax"
            return "is given probabilities, not their logarithms", "output of log_softmax", proved
        if call.log_total is not None and call.log_total > most:
            return "is given rows that are not log-probabilities", "output of log_softmax", False
    return None


def fails_when_softmax_is_applied_twice(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Softmax(dim=-1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = torch.nn.CrossEntropyLoss()
    criterion(model(torch.randn(8, 4)), torch.randint(3, (8,))).backward()
    optimizer.step()


def fails_when_sigmoid_is_applied_twice(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = model(torch.randn(8, 4)).sigmoid().squeeze(1)
    torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.ones(8)).backward()
    optimizer.step()


def fails_when_nll_loss_is_given_logits(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.functional.nll_loss(model(torch.randn(8, 4)), torch.randint(3, (8,))).backward()
    optimizer.step()


def fails_when_nll_loss_is_given_probabilities(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    probabilities = model(torch.randn(8, 4)).softmax(dim=-1)
    torch.nn.functional.nll_loss(probabilities, torch.randint(3, (8,))).backward()
    optimizer.step()


def fails_when_log_probabilities_exceed_one_by_six_percent(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = model(torch.randn(8, 4)).log_softmax(dim=-1) + 0.06
    torch.nn.functional.nll_loss(rows, torch.randint(3, (8,))).backward()
    optimizer.step()


def passes_when_log_probabilities_exceed_one_by_four_percent(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    rows = model(torch.randn(8, 4)).log_softmax(dim=-1) + 0.04
    torch.nn.functional.nll_loss(rows, torch.randint(3, (8,))).backward()
    optimizer.step()


def passes_when_each_loss_gets_what_it_takes(_: Watch) -> None:
    import torch
    from torch.nn import functional

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logits, labels = model(torch.randn(8, 4)), torch.randint(3, (8,))
    loss = functional.cross_entropy(logits, labels)
    loss = loss + functional.nll_loss(logits.log_softmax(-1), labels)
    loss = loss + functional.binary_cross_entropy(logits.sigmoid(), torch.ones(8, 3))
    loss.backward()
    optimizer.step()


def passes_when_the_targets_are_probabilities(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    soft = torch.randn(8, 3).softmax(dim=-1)
    torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), soft).backward()
    optimizer.step()


def passes_when_something_follows_the_sigmoid(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = 8 * model(torch.randn(8, 4)).sigmoid().squeeze(1) - 4
    torch.nn.functional.binary_cross_entropy_with_logits(scores, torch.ones(8)).backward()
    optimizer.step()


def skips_without_a_loss_function_of_torch(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
