"""Contrastive logits are scaled as if they were cosines, but the features are not of unit norm.

## What it proves
The logits of a cross-entropy whose targets are each row's own column are a product of two
matrices, multiplied by a scale of 5 or more (a temperature of 0.2 or less). The rows of the
matrices do not have norm 1, within 1 % (2 % in half precision).

## Why it matters
A scale such as 1/0.07 is made for cosines, which end at 1. Without normalisation the norms multiply
the scale: the softmax saturates at once, and the loss can be lowered by longer vectors rather than
by better directions.

## What to do
Normalise both sides before the product: `torch.nn.functional.normalize(x, dim=-1)`.

## Limits
Dot products without a temperature (dense retrieval) are healthy and not judged. Only the operands
that autograd keeps for the backward can be measured: at least one of the two.

## Sources
- https://arxiv.org/abs/2103.00020 figure 3 (both sides l2-normalised, then scaled)
- https://arxiv.org/abs/2004.04906 (dense retrieval by plain dot products)
- 0.2: temperatures above it occur with plain dot products; published ones for cosines are 0.01 to
  0.1, in a few cases up to 0.2 (https://arxiv.org/abs/2104.02057).
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.losses import Similarities

_HALF = ("float16", "bfloat16")


@rule("CON003", Severity.WARNING)
def not_unit_norm(
    similarities: Similarities,
    *,
    scale: float = 5.0,
    within: float = 1e-2,
    within_half: float = 2e-2,
) -> Findings:
    judged: set[Place] = set()
    for each in similarities.similarities:
        allowed = within_half if each.dtype in _HALF else within
        if each.at in judged or not each.diagonal or abs(each.scale or 1.0) < scale:
            continue
        if abs(each.shortest - 1) > allowed or abs(each.longest - 1) > allowed:
            judged.add(each.at)
            yield Finding(
                subject=f"similarities of {each.rows} x {each.columns}",
                message="are scaled like cosines, but the features are not of unit norm",
                measured=f"row norms {each.shortest:.4g} to {each.longest:.4g};"
                f" scale {each.scale or 1.0:.4g}",
                expected="row norms of 1",
                at=each.at,
            )


def fails_when_the_norms_are_1_02(_: Watch) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1) * torch.full((4, 1), 1.02)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    cross_entropy(image @ text.T / 0.07, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_norms_are_1_005(_: Watch) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1) * torch.full((4, 1), 1.005)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    cross_entropy(image @ text.T / 0.07, torch.arange(4)).backward()
    optimizer.step()


def passes_when_both_sides_are_normalised(_: Watch) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    cross_entropy(image @ text.T / 0.07, torch.arange(4)).backward()
    optimizer.step()


def fails_when_the_temperature_is_0_19(_: Watch) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1) * torch.full((4, 1), 3.0)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    cross_entropy(image @ text.T / 0.19, torch.arange(4)).backward()
    optimizer.step()


def passes_when_the_temperature_is_0_21(_: Watch) -> None:
    import torch
    from torch.nn.functional import cross_entropy, normalize

    model = torch.nn.ModuleDict({"image": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = normalize(model["image"](torch.randn(4, 8)), dim=-1) * torch.full((4, 1), 3.0)
    text = normalize(model["text"](torch.randn(4, 8)), dim=-1)
    cross_entropy(image @ text.T / 0.21, torch.arange(4)).backward()
    optimizer.step()


def passes_when_dot_products_have_no_temperature(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"query": torch.nn.Linear(8, 8), "text": torch.nn.Linear(8, 8)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    scores = model["query"](torch.randn(4, 8)) @ model["text"](torch.randn(4, 8)).T
    torch.nn.functional.cross_entropy(scores, torch.arange(4)).backward()
    optimizer.step()


def fails_when_only_the_frozen_side_can_be_measured(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(8, 8)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    image = torch.nn.functional.normalize(model(torch.randn(4, 8)), dim=-1)
    logits = image @ torch.full((8, 4), 2.0) / 0.07
    torch.nn.functional.cross_entropy(logits, torch.arange(4)).backward()
    optimizer.step()


def skips_without_a_product_of_features(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    torch.nn.functional.cross_entropy(model(torch.randn(8, 4)), torch.arange(8) % 3).backward()
    optimizer.step()
