"""A number stopped being finite, and this is where.

## What it proves
A loss on which a backward was started, or a gradient that a step used, is nan or infinite. Of what
autograd had saved, everything older than the named module's forward was finite; or the module's
own parameters, or the input that it was given, already were not. Where all of these are finite: a
module handed out a loss that is not, and no backward of that step reached it. That is a warning.

## Why it matters
One nan reaches every parameter at the next step, and nothing is learned after it. The place where
it shows, the loss, is seldom the place where it began.

Where 0 is put in the place of such a loss, nothing spreads, and nothing is learned either: the
curve looks best where the run has lost its numbers.

## What to do
Look at the named module with the batch of that step: logarithms and divisions near 0, square roots
at 0 (their derivative is infinite), `exp` of large values, rows without any unmasked entry, and
float16 beyond 65504.

## Limits
An infinite gradient under a `GradScaler` is part of its work. Under activation checkpointing or
offloading, only the loss is named. A gradient that is not finite is named by the last module called
that has one; where all gradients are, none is. Minus infinity inside a tensor is taken for a mask.

## Sources
- https://docs.pytorch.org/docs/stable/notes/amp_examples.html
- https://docs.pytorch.org/docs/stable/autograd.html#anomaly-detection
"""

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.environment import NonFinite, Numerics
from stepscope.evidence.loss_terms import LossTerms, LostLoss


@rule("NUM001", Severity.ERROR)
def first_non_finite(numerics: Numerics, terms: LossTerms | None) -> Findings:
    if not numerics.non_finite:
        for lost in terms.lost[:1] if terms is not None else ():
            yield _replaced(lost)
        return
    first = numerics.non_finite[0]
    yield Finding(
        subject=first.module
        or {"gradient": "the gradients", "loss": "the loss"}.get(first.what, "the model"),
        message=_message(first),
        measured=f"{first.kind} in the {first.what} at step {first.step}",
        expected="finite numbers",
        at=first.at,
    )


def _replaced(lost: LostLoss) -> Finding:
    return Finding(
        subject=f"{lost.name} of {lost.module}" if lost.module else lost.name,
        message=f"is {lost.value}, and no backward reaches it: it was replaced, or left out",
        measured=f"{lost.value} handed out at step {lost.step}; what was trained on is finite",
        expected="a finite loss, or a run that stops",
        at=lost.at,
        severity=Severity.WARNING,
    )


def _message(first: NonFinite) -> str:
    if not first.parameters_finite:
        return f"holds a parameter that is {first.kind}"
    if first.what == "gradient":
        return f"receives a gradient that is {first.kind}, from a loss that is finite"
    if not first.inputs_finite:
        return f"is given an input that is {first.kind}"
    if first.what == "loss":
        return f"is {first.kind}"
    return f"is the first module to give {first.kind}"


def fails_when_a_module_takes_the_logarithm_of_zero(_: Watch) -> None:
    import torch

    class Log(torch.nn.Module):
        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return values.log()

    first = torch.nn.Linear(4, 4)
    model = torch.nn.Sequential(first, torch.nn.ReLU(), Log(), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.init.constant_(first.bias, -9.0)
    model(torch.ones(3, 4)).square().mean().backward()
    optimizer.step()


def fails_when_the_batch_holds_nan(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.full((3, 4), float("nan"))).mean().backward()
    optimizer.step()


def fails_when_only_the_derivative_is_infinite(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    (model(torch.ones(3, 4)) * 0).sqrt().sum().backward()
    optimizer.step()


def _replace_what_is(number: float, *, in_step: int = 1) -> None:
    import torch

    class Detector(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor, factor: float) -> dict[str, torch.Tensor]:
            out = self.head(x)
            return {"loss_cls": out[:, 0].square().mean(), "loss_box": factor * out[:, 1].mean()}

    model = Detector()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        losses = model(torch.ones(3, 4), number if step == in_step else 1.0)
        for name, value in losses.items():
            if not value.isfinite():
                losses[name] = torch.zeros_like(value, requires_grad=True)
        optimizer.zero_grad()
        sum(losses.values()).backward()
        optimizer.step()


def fails_with_a_warning_when_a_loss_that_is_nan_becomes_0_in_one_step(_: Watch) -> None:
    _replace_what_is(float("nan"))


def passes_when_a_loss_is_huge(_: Watch) -> None:
    _replace_what_is(1e30)


def passes_when_everything_is_finite(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).square().mean().backward()
    optimizer.step()


def passes_when_a_mask_holds_minus_infinity(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = model(torch.ones(3, 4)).masked_fill(torch.eye(3, 4).bool(), float("-inf"))
    scores.logsumexp(dim=1).mean().backward()
    optimizer.step()


def passes_when_a_scaler_finds_its_scale(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)
    for _step in range(3):
        optimizer.zero_grad()
        scaler.scale(model(torch.ones(3, 4)).square().mean() * 100.0).backward()
        scaler.step(optimizer)
        scaler.update()
