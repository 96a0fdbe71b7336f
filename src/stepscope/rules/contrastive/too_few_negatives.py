"""A contrastive loss has one negative for each anchor, or none.

## What it proves
In every recorded call of a cross-entropy over the product of two sets of features, a row had one
candidate, or two, with each row's own column as its target. With one, the loss is 0 whatever the
features are, and so is its gradient.

## Why it matters
The loss can be lowered no further than telling a pair from one other: it measures at most ln 2 of
what the two sides share, and is at its end as soon as the easiest negative is pushed away. Batches
of one or two pairs often come from sharding a batch over devices without gathering the features, or
from sampling one object for each image.

## What to do
Gather the features of all devices (with gradient), keep a queue of earlier ones, or take larger
batches: accumulating gradients adds no negatives.

## Limits
A warning, also for no negative at all: another loss may carry the training. One call with three
candidates or more excuses the line: a last batch may be small. Products with a queue have as many
candidates as it has entries. Losses with several positives for each anchor, and losses that are not
a cross-entropy of torch, are not seen.

## Sources
- Van den Oord et al., "Representation Learning with Contrastive Predictive Coding" (2018), appendix
  A.1: the mutual information is bounded by ln N minus the loss, N candidates for each row.
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.losses import Similarities, Similarity


@rule("CON011", Severity.WARNING)
def too_few_negatives(similarities: Similarities, *, fewest: int = 2) -> Findings:
    lines: dict[Place, list[Similarity]] = {}
    for each in similarities.similarities:
        lines.setdefault(each.at, []).append(each)
    for at, seen in lines.items():
        most = max(each.columns for each in seen) - 1
        is_paired = all(each.diagonal for each in seen if each.columns > 1)
        if most >= fewest or not is_paired:
            continue
        yield Finding(
            subject=f"similarities of {seen[0].rows} x {seen[0].columns}",
            message="contrast each row with one other"
            if most
            else "contrast each row with nothing: the loss is 0 whatever the features are",
            measured=f"negatives of a row: {most} at the most; calls: {len(seen)}",
            expected=f"{fewest} negatives or more",
            at=at,
        )


def _train(batches: tuple[int, ...]) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for batch in batches:
        optimizer.zero_grad()
        image = normalize(model["image"](torch.randn(batch, 8)), dim=-1)
        text = normalize(model["text"](torch.randn(batch, 8)), dim=-1)
        cross_entropy(image @ text.T / 0.07, torch.arange(batch)).backward()
        optimizer.step()


def fails_when_a_batch_is_two_pairs(_: Watch) -> None:
    _train((2, 2))


def passes_when_a_batch_is_three_pairs(_: Watch) -> None:
    _train((3, 3))


def fails_when_a_batch_is_one_pair(_: Watch) -> None:
    _train((1, 1))


def passes_when_the_last_batch_is_small(_: Watch) -> None:
    _train((4, 1))


def skips_when_classes_are_predicted(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.arange(8) % 3).backward()
    optimizer.step()
