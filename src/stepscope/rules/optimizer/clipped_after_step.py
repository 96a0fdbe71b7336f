"""The gradients are clipped after the step that used them.

## What it proves
Every gradient that a clipping was given had the norm that the optimizer step before had found, and
the step after it used others than the clipping left. So what was limited had been used already.

## Why it matters
The limit does nothing: the first spike moves the weights by its full size. The norm that is logged
is right, and so the log looks as if the limit were at work.

## What to do
`loss.backward()`, then `clip_grad_norm_`, then `optimizer.step()`; with a `GradScaler`,
`scaler.unscale_(optimizer)` before the clipping.

## Limits
Needs a clipping between two recorded steps. Where the gradient is the same in both steps the order
cannot be told. Judged for the Euclidean norm and the largest element; `clip_grad_value_`, and what
a library does without torch's own functions, is not seen.

## Sources
- https://docs.pytorch.org/docs/stable/notes/amp_examples.html#gradient-clipping
- Pascanu et al., "On the difficulty of training recurrent neural networks" (ICML 2013), section
  3.2: the norm is limited before the update.
"""

import math

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.clipping import Clip, Clips
from stepscope.evidence.gradients import Gradients

NORMS = (2.0, math.inf)  # of which each step's gradients are known
SAME = 1e-4  # relative, of two norms of one float32 gradient that were summed in another order


@rule("OPT011", Severity.ERROR)
def clipped_after_step(clips: Clips, gradients: Gradients) -> Findings:
    steps = max((len(each.norms) for each in gradients.gradients), default=0)
    between = [
        clip
        for clip in clips.clips
        if 0 < clip.step < steps and any(clip.norms) and clip.norm_type in NORMS
    ]
    if not between:
        raise NotJudged("needs a clipping between two recorded steps, by the norm 2 or inf")
    late = [
        clip
        for clip in between
        if _is_as_used(clip, gradients, clip.step - 1, 1.0)
        and not _is_as_used(clip, gradients, clip.step, clip.factor(clip.total))
    ]
    for at in dict.fromkeys(clip.at for clip in late):
        here = [clip for clip in late if clip.at == at]
        calls = [clip for clip in between if clip.at == at]
        yield Finding(
            subject="gradient clipping",
            message="limits gradients that the step before has already used",
            measured=f"the norm in {len(here)} of {len(calls)} clippings between two steps is that "
            f"of the step before: {here[0].total:.4g}, limit {here[0].max_norm:.4g}",
            expected="a clipping between the backward and the step",
            at=at,
        )


def _is_as_used(clip: Clip, gradients: Gradients, step: int, factor: float) -> bool:
    """Tell whether a step used all these gradients, multiplied by the factor."""
    for name, norm in zip(clip.parameters, clip.norms, strict=True):
        gradient = gradients.of(name)
        numbers = (
            None if gradient is None else gradient.largest if _is_largest(clip) else gradient.norms
        )
        used = None if numbers is None else numbers[step]
        if used is None or not math.isclose(used, factor * norm, rel_tol=SAME):
            return False
    return True


def _is_largest(clip: Clip) -> bool:
    return math.isinf(clip.norm_type)


def _train(
    *, clips_first: bool, norm_type: float = 2.0, limit: float = 0.01, grows: bool = True
) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().mul(step + 1 if grows else 1).backward()
        if clips_first:
            torch.nn.utils.clip_grad_norm_(model.parameters(), limit, norm_type)
        optimizer.step()
        if not clips_first:
            torch.nn.utils.clip_grad_norm_(model.parameters(), limit, norm_type)


def fails_when_the_norm_is_limited_after_the_step(_: Watch) -> None:
    _train(clips_first=False)


def fails_when_the_largest_element_is_limited_after_the_step(_: Watch) -> None:
    _train(clips_first=False, norm_type=math.inf)


def fails_when_the_limit_is_never_reached(_: Watch) -> None:
    _train(clips_first=False, limit=1e6)


def passes_when_the_norm_is_limited_before_the_step(_: Watch) -> None:
    _train(clips_first=True)


def passes_when_the_gradient_is_the_same_in_every_step(_: Watch) -> None:
    _train(clips_first=False, limit=1e6, grows=False)


def passes_when_another_optimizer_steps_before_the_clipping(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizers = [torch.optim.SGD(part.parameters(), lr=0.1) for part in (body, head)]
    for step in range(2):
        for optimizer in optimizers:
            optimizer.zero_grad()
        head(body(torch.ones(3, 4))).square().sum().mul(step + 1).backward()
        optimizers[0].step()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 0.01)
        optimizers[1].step()


def skips_when_one_step_is_recorded(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)


def skips_when_nothing_is_clipped(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
