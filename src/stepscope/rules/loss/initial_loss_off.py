"""The first value of a loss over classes lies far above that of equal probabilities.

## What it proves
At the first recorded step, without any checkpoint loaded, the loss exceeds 1.6 times ln N, the
value of equal probabilities for the N candidates of that call. A model that knows nothing should
start near ln N: this one starts confident and wrong.

## Why it matters
The first updates only take the confidence back, and often damage pretrained layers below on the
way. In contrastive learning the usual cause is the scale of the logits: exp(4.6052) = 100 makes
random cosines into logits that differ by 20. A lower loss at another scale is no better ranking.

## What to do
Look at the scale that is named, at the initialisation of the last layer, and at inputs that are
not normalised (0 to 255 instead of 0 to 1).

## Limits
Needs 16 rows, as the mean of fewer scatters too much. Where a checkpoint was loaded the first loss
says nothing about the initialisation. Dot products that are not cosines (dense retrieval) and
margin losses over class weights start above ln N by design: they give a note. Cosines that are
scaled by 20 or less are left alone: at the usual 14.3 random features of 64 dimensions alone give
1.6 times ln N.
A first loss below 0.7 ln N gives a note: the model seems to know the task already.

## Sources
- https://karpathy.github.io/2019/04/25/recipe/ ("verify loss @ init")
- 1.6: symmetric contrastive losses at scale 14.3 start at 1.0 to 1.2 times ln N, at scale 100 at
  3.4 to 4.3 times (measured from scratch, 4 to 48 candidates); unit-variance logits give 1.1 to
  1.3.
- 20.5: a temperature of 0.05 (https://arxiv.org/abs/2104.08821), and its rounding in half
  precision.
"""

import math

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.checkpoints import Checkpoints
from stepscope.evidence.environment import Beginning
from stepscope.evidence.losses import LossCall, LossCalls


@rule("LOS004", Severity.WARNING)
def initial_loss_off(
    losses: LossCalls,
    checkpoints: Checkpoints | None,
    _: Beginning,
    *,
    rows: int = 16,
    above: float = 1.6,
    below: float = 0.7,
    usual_scale: float = 20.5,
) -> Findings:
    first: dict[Place, LossCall] = {}
    for call in losses.calls:
        if call.step == 0 and call.reaches_backward and _is_judged(call, rows):
            first.setdefault(call.at, call)
    if not first:
        raise NotJudged(f"needs a cross-entropy over at least {rows} rows in the first step")
    if checkpoints is not None and any(load.matched for load in checkpoints.loads):
        raise NotJudged("a checkpoint was loaded, so the first loss is not that of a fresh model")
    for at, call in first.items():
        assert call.value is not None
        assert call.candidates is not None
        chance = math.log(call.candidates)
        ratio = call.value / chance
        usual = call.unit_norm is True and (call.scale or 1.0) <= usual_scale
        if below <= ratio and (ratio <= above or usual):
            continue
        named = f"; the logits are scaled by {call.scale:.4g}" if call.scale and ratio > 2 else ""  # noqa: PLR2004 - as in the catalogue
        by = f" ({call.scale_from})" if named and call.scale_from else ""
        yield Finding(
            subject=f"{call.function} in {call.module}" if call.module else call.function,
            message="starts far above the value of equal probabilities"
            if ratio > above
            else "starts below the value of equal probabilities",
            measured=f"{call.value:.4g} = {ratio:.2f} ln {call.candidates}{named}{by}",
            expected=f"{below:.2g} to {above:.2g} times ln {call.candidates} = {chance:.4g}",
            at=at,
            severity=_severity(call, high=ratio > above),
        )


def _is_judged(call: LossCall, rows: int) -> bool:
    return (
        call.function == "cross_entropy"
        and call.reduction == "mean"
        and call.value is not None
        and call.candidates is not None
        and call.candidates > 1
        and call.rows * (1 - call.ignored) >= rows
    )


def _severity(call: LossCall, *, high: bool) -> Severity | None:
    if not high:
        return Severity.NOTE
    raw_products = call.unit_norm is False
    margin = (
        not call.diagonal and call.produced_by == "mul"
    )  # s * cos(angle + m) over class weights
    return Severity.NOTE if raw_products or margin else None


def fails_when_random_cosines_are_scaled_by_30(_: Watch) -> None:
    import math

    import torch

    image, text = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
    scale = torch.nn.Parameter(torch.tensor(math.log(30)))
    optimizer = torch.optim.AdamW([*image.parameters(), *text.parameters(), scale], lr=1e-3)
    features = torch.nn.functional.normalize(image(torch.randn(16, 8)), dim=-1)
    captions = torch.nn.functional.normalize(text(torch.randn(16, 8)), dim=-1)
    logits = scale.exp() * features @ captions.T
    torch.nn.functional.cross_entropy(logits, torch.arange(16)).backward()
    optimizer.step()


def passes_when_random_cosines_are_scaled_by_20(_: Watch) -> None:
    import math

    import torch

    image, text = torch.nn.Linear(8, 8), torch.nn.Linear(8, 8)
    scale = torch.nn.Parameter(torch.tensor(math.log(20)))
    optimizer = torch.optim.AdamW([*image.parameters(), *text.parameters(), scale], lr=1e-3)
    features = torch.nn.functional.normalize(image(torch.randn(16, 8)), dim=-1)
    captions = torch.nn.functional.normalize(text(torch.randn(16, 8)), dim=-1)
    logits = scale.exp() * features @ captions.T
    torch.nn.functional.cross_entropy(logits, torch.arange(16)).backward()
    optimizer.step()


def fails_when_the_first_loss_is_1_65_times_chance(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.tensor([0.0, 0.76]))
    optimizer = torch.optim.SGD([bias], lr=0.1)
    logits = torch.stack([bias] * 16)
    torch.nn.functional.cross_entropy(logits, torch.zeros(16, dtype=torch.long)).backward()
    optimizer.step()


def passes_when_the_first_loss_is_1_55_times_chance(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.tensor([0.0, 0.65]))
    optimizer = torch.optim.SGD([bias], lr=0.1)
    logits = torch.stack([bias] * 16)
    torch.nn.functional.cross_entropy(logits, torch.zeros(16, dtype=torch.long)).backward()
    optimizer.step()


def passes_when_only_the_second_loss_is_high(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.tensor([0.0, 0.1]))
    optimizer = torch.optim.SGD([bias], lr=0.1)
    for offset in (0.0, 5.0):
        optimizer.zero_grad()
        logits = torch.stack([bias] * 16) + torch.tensor([0.0, offset])
        torch.nn.functional.cross_entropy(logits, torch.zeros(16, dtype=torch.long)).backward()
        optimizer.step()


def skips_when_there_are_fifteen_rows(_: Watch) -> None:
    import torch

    bias = torch.nn.Parameter(torch.tensor([0.0, 3.0]))
    optimizer = torch.optim.SGD([bias], lr=0.1)
    logits = torch.stack([bias] * 15)
    torch.nn.functional.cross_entropy(logits, torch.zeros(15, dtype=torch.long)).backward()
    optimizer.step()


def skips_when_a_checkpoint_was_loaded(watch: Watch) -> None:
    import torch

    from stepscope.evidence.checkpoints import Checkpoints, Load

    load = Load(
        module="", path="a.pt", strict=True, matched=1, total=1, matched_bytes=8, total_bytes=8,
        missing=(), unexpected=(), mismatched=(), at=Place(),
    )  # fmt: skip
    watch.saw(Checkpoints(tried=(), loads=(load,)))
    bias = torch.nn.Parameter(torch.tensor([0.0, 3.0]))
    optimizer = torch.optim.SGD([bias], lr=0.1)
    logits = torch.stack([bias] * 16)
    torch.nn.functional.cross_entropy(logits, torch.zeros(16, dtype=torch.long)).backward()
    optimizer.step()
