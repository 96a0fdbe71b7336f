"""Every target of a batch is ignored.

## What it proves
In the calls named, each target that the loss was given equals `ignore_index`, so no row of the
batch was supervised. It is an error when that holds for every call made at the line. Or: the total
of a step was exactly 0 and was computed from no parameter that an optimizer holds, while a total of
another step, at the same line, was computed from some.

## Why it matters
With `reduction="mean"` the loss is 0/0, which is nan; with a guarded sum it is 0. In both cases the
batch teaches nothing. Usual causes: labels masked by a prompt length that is longer than the
sequence, labels shifted twice, padding and class index that share a number. A detector that returns
zeros for an image without objects never learns from what is no object there.

## What to do
Look at the targets of one batch, and at what writes the ignored value into them.

## Limits
Judged for `cross_entropy` and `nll_loss` with class indices. Where only some batches are affected
the finding is a warning, and a note where the program sums and normalises by itself, as it may
then have provided for such batches. Calls that reach no backward are left out. A total of 0 is a
warning, and is judged as a whole: one image without objects among others is not seen.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.CrossEntropyLoss.html (ignore_index)
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.gradients import BackwardRoot, BackwardRoots
from stepscope.evidence.losses import LossCall, LossCalls


@rule("LOS007", Severity.ERROR)
def nothing_supervised(losses: LossCalls, roots: BackwardRoots | None) -> Findings:
    yield from _by_targets(losses)
    yield from _by_totals(roots.roots if roots is not None else ())


def _by_targets(losses: LossCalls) -> Findings:
    lines: dict[Place, list[LossCall]] = {}
    for call in losses.calls:
        if call.reaches_backward and call.function in ("cross_entropy", "nll_loss"):
            lines.setdefault(call.at, []).append(call)
    for at, calls in lines.items():
        empty = [call for call in calls if call.ignored == 1.0]
        if not empty:
            continue
        every = len(empty) == len(calls)
        guarded = all(call.reduction != "mean" for call in empty)
        yield Finding(
            subject=f"{calls[0].function} in {calls[0].module}"
            if calls[0].module
            else calls[0].function,
            message="every target is ignored" + ("" if every else " in some batches"),
            measured=f"{len(empty)} of {len(calls)} calls: 0 of {empty[0].rows} rows supervised",
            expected="at least one supervised row in each batch",
            at=at,
            severity=None if every else Severity.NOTE if guarded else Severity.WARNING,
        )


def _by_totals(roots: tuple[BackwardRoot, ...]) -> Findings:
    lines: dict[Place, list[BackwardRoot]] = {}
    for root in roots:
        lines.setdefault(root.at, []).append(root)
    for at, totals in lines.items():
        empty = [root for root in totals if root.value == 0 and not root.reached]
        if empty and any(root.reached for root in totals):
            yield Finding(
                subject="total loss",
                message="is 0, and computed from no parameter, in some steps",
                measured=f"{len(empty)} of {len(totals)} totals; first in step {empty[0].step}",
                expected="a total that is computed from parameters, whatever the batch holds",
                at=at,
                severity=Severity.WARNING,
            )


def fails_when_every_label_is_masked(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.full((8,), -100)
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), labels)
    loss.backward()
    optimizer.step()


def fails_when_one_batch_of_two_is_masked(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = torch.nn.CrossEntropyLoss(ignore_index=0)
    for label in (1, 0):
        optimizer.zero_grad()
        criterion(model(torch.randn(8, 4)), torch.full((8,), label)).backward()
        optimizer.step()


def _detect(*, empty: bool, guarded: bool = False) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for objects in (2, 0 if empty else 1):
        labels = torch.ones(objects, dtype=torch.int64)
        logits = model(torch.randn(8, 4))
        loss = torch.zeros((), requires_grad=True)
        if objects:
            loss = torch.nn.functional.cross_entropy(logits[:objects], labels)
        elif guarded:
            loss = 0.0 * logits.sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def fails_with_a_warning_when_a_batch_without_objects_gives_a_total_of_zero(_: Watch) -> None:
    _detect(empty=True)


def passes_when_every_batch_has_an_object(_: Watch) -> None:
    _detect(empty=False)


def passes_when_the_zero_is_computed_from_the_logits(_: Watch) -> None:
    _detect(empty=True, guarded=True)


def passes_when_one_label_is_left(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    labels = torch.full((8,), -100)
    labels[0] = 2
    loss = torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), labels)
    loss.backward()
    optimizer.step()


def passes_when_the_loss_is_only_logged(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    logits = model(torch.randn(8, 4))
    torch.nn.functional.cross_entropy(logits, torch.full((8,), -100))
    logits.square().mean().backward()
    optimizer.step()


def skips_without_a_loss_function_of_torch(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4)).square().mean().backward()
    optimizer.step()
