"""The positive of a contrastive loss is among its own negatives.

## What it proves
In at least half of the rows of every call of the loss, another column of the logits holds the same
number as the positive's, to five digits of the row's range, while the other columns differ from
each other. So what was counted as a negative is the positive, or an exact copy of it.

## Why it matters
The loss pulls and pushes one and the same pair. Its two gradients cancel in part, the loss cannot
fall below ln 2, and hard-negative mining takes the positive first: it is the hardest of all.

## What to do
Put the keys of a batch into the queue after its loss is computed. Leave out the columns that hold
the same instance, the same image or the same caption as the positive, or count them as positives.

## Limits
Judged for `cross_entropy` whose positives stand on a diagonal or all in one column, and not from a
single call. Other views of one instance give other numbers and are not seen. A batch whose captions
repeat ("a photo of a person") looks the same; it has the same effect. Logits that half precision
has made equal are not judged.

## Sources
- He et al., "Momentum Contrast" (CVPR 2020), algorithm 1: enqueue is the last line.
- Robinson et al., "Contrastive Learning with Hard Negative Samples" (ICLR 2021): false negatives
  are the first that mining finds.
- Half: two of 33 random float32 logits agree so far in one row in 3,000.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.losses import LossCall, LossCalls

SEEN = 2  # calls


@rule("CON008", Severity.WARNING)
def false_negatives(losses: LossCalls, *, least: float = 0.5) -> Findings:
    lines: dict[Place, list[LossCall]] = {}
    for call in losses.calls:
        if call.reaches_backward and call.function == "cross_entropy" and _is_contrastive(call):
            lines.setdefault(call.at, []).append(call)
    judged = {at: calls for at, calls in lines.items() if len(calls) >= SEEN}
    if not judged:
        raise NotJudged("needs two calls of a contrastive cross-entropy that reach a backward")
    for at, calls in judged.items():
        shares = [call.repeated for call in calls]
        if min(shares) < least:
            continue
        yield Finding(
            subject=f"{calls[0].function} in {calls[0].module}"
            if calls[0].module
            else calls[0].function,
            message="counts the positive among its own negatives",
            measured=f"another column holds the positive's logit in {min(shares):.0%} of the rows "
            f"or more, in each of {len(calls)} calls",
            expected="negatives without the positive and its copies",
            at=at,
        )


def _is_contrastive(call: LossCall) -> bool:
    return call.rows > 1 and (call.diagonal or call.majority == 1.0)


def _train(
    *, before: bool, k: int = 8, copies: int = 0, half: bool = False, batches: int = 2
) -> None:
    import torch
    from torch.nn import functional

    torch.manual_seed(0)
    model = torch.nn.Linear(8, 16)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    queue = functional.normalize(torch.randn(40, 16), dim=1)
    for _step in range(batches):
        x = torch.randn(8, 8)
        query = functional.normalize(model(x), dim=1)
        key = functional.normalize(model(x + 0.1 * torch.randn(8, 8)), dim=1).detach()
        rows = torch.cat([key[: 8 if before else copies], queue])
        hardest = (query @ rows.T).topk(k, dim=1).values
        logits = torch.cat([(query * key).sum(1, keepdim=True), hardest], dim=1) / 0.2
        if half:
            logits = logits.to(torch.bfloat16).float()
        optimizer.zero_grad()
        functional.cross_entropy(logits, torch.zeros(8, dtype=torch.int64)).backward()
        optimizer.step()
        queue = torch.cat([key, queue])[:40]


def fails_when_the_keys_are_enqueued_before_the_loss(_: Watch) -> None:
    _train(before=True)


def fails_when_half_of_the_positives_are_among_the_negatives(_: Watch) -> None:
    _train(before=False, copies=4)


def passes_when_three_of_eight_positives_are_among_the_negatives(_: Watch) -> None:
    _train(before=False, copies=3)


def passes_when_the_keys_are_enqueued_after_the_loss(_: Watch) -> None:
    _train(before=False)


def passes_when_half_precision_makes_many_logits_equal(_: Watch) -> None:
    _train(before=False, k=40, half=True)


def passes_when_a_head_that_starts_at_zero_gives_equal_logits(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.zeros_(model.bias)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _step in range(2):
        optimizer.zero_grad()
        logits = model(torch.randn(3, 4))
        torch.nn.functional.cross_entropy(logits, torch.arange(3)).backward()
        optimizer.step()


def skips_when_there_is_one_call(_: Watch) -> None:
    _train(before=True, batches=1)


def skips_when_the_targets_are_classes(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        labels = torch.tensor([1, 0, 0, 2])
        torch.nn.functional.cross_entropy(model(torch.randn(4, 4)), labels).backward()
        optimizer.step()
