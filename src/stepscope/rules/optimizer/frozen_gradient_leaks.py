"""The gradient of a part that never moves acts on the parts that do.

## What it proves
The part requires gradients and gets them, but stands still: every parameter group that holds it
has lr 0, or no optimizer holds it. One of three leaks is seen in the recorded steps:

- **Clipping**: its gradient is in the norm by which `clip_grad_norm_` clips all gradients. Clipped
  by the norm of the other gradients alone, these would have been multiplied by a larger factor. A
  gradient of it that is nan or inf leaves nothing of the others: an error.
- **Scaler**: it alone held an inf or a nan, and `GradScaler` skipped the step of all.
- **nan**: it alone had a gradient that is not finite, and its weights changed at lr 0, since
  0 * nan is nan. An error.

## Why it matters
A part that is frozen by its learning rate still trains the rest: its gradients shrink their
updates, stop their steps, or turn weights into nan. Results then depend on a part that was meant
to be out of play, and change when it is frozen for good.

## What to do
Call `requires_grad_(False)` on the part. Where it has to keep its gradients, clip only the
parameters that are trained.

## Limits
Sees the clipping of `torch.nn.utils`, which Lightning, Accelerate and MMEngine call, not one that
is written by hand, nor one over gradients that are split over processes. A clipping that would not
have changed the other gradients by `least` (1 %) is left alone: the limit was not reached, or the
part is small. A warm-up from 0 is not standing still. Where the other gradients are not finite
either, the fault is elsewhere.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html
- https://docs.pytorch.org/docs/stable/amp.html#gradient-scaling
"""

import math
from collections.abc import Iterator

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.clipping import Clip, Clips, SkippedSteps
from stepscope.evidence.environment import Beginning
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameter, Parameters
from stepscope.evidence.subtrees import subtrees

SAME = 1e-3  # relative: the common norm that was handed over is that of the gradients seen


@rule("OPT010", Severity.WARNING)
def frozen_gradient_leaks(
    parameters: Parameters,
    optimizers: Optimizers,
    gradients: Gradients,
    clips: Clips | None,
    skipped: SkippedSteps | None,
    _: Beginning,
    *,
    least: float = 0.01,
) -> Findings:
    if not any(lr > 0 for group in optimizers.groups for lr in (*group.lrs, group.lr_next)):
        return
    candidates = [each for each in parameters.parameters if _stands_still(each, optimizers)]
    names = {each.name for each in candidates}
    destroyed = {p.name: step for p in candidates for step in _destroyed(p, gradients, names)}
    still = {p.name for p in candidates if not _is_moved(p, gradients)}
    everything = [each.name for each in parameters.parameters]
    for tree in subtrees(destroyed, everything):
        yield Finding(
            subject=tree.subject,
            message="has a learning rate of 0, and its own gradient destroys it: 0 * nan is nan",
            measured="its gradient, and no other, was not finite in step "
            f"{destroyed[tree.members[0]]}; the step changed its bits",
            expected="requires_grad=False, and the same bits before and after the step",
            at=tree.place,
            severity=Severity.ERROR,
        )
    yield from _by_clipping(clips.clips if clips else (), still, everything, least)
    yield from _by_skipping(skipped, still, everything)


def _stands_still(parameter: Parameter, optimizers: Optimizers) -> bool:
    held = optimizers.groups_of(parameter.name)
    return parameter.trainable and all(group.stands_still for group in held)


def _changes(parameter: Parameter, gradients: Gradients) -> Iterator[tuple[int, bool]]:
    """Yield each step that changed its bits, and whether its gradient was finite then."""
    own = gradients.of(parameter.name)
    bits = zip(parameter.before, parameter.after, strict=True)
    for step, (before, after) in enumerate(bits, parameter.first_step):
        if before != after:
            yield step, own is None or _is_finite(own.norms[step])


def _is_moved(parameter: Parameter, gradients: Gradients) -> bool:
    """Tell whether something else moves it: not a gradient that is no number."""
    between = zip(parameter.after, parameter.before[1:], strict=False)
    return any(is_finite for _, is_finite in _changes(parameter, gradients)) or any(
        after != before for after, before in between
    )


def _destroyed(parameter: Parameter, gradients: Gradients, still: set[str]) -> Iterator[int]:
    """Yield the steps that changed it by a gradient such as only parts that stand still had."""
    for step, is_finite in _changes(parameter, gradients):
        lost = {each.parameter for each in gradients.gradients if not _is_finite(each.norms[step])}
        if not is_finite and lost <= still:
            yield step


def _is_finite(norm: float | None) -> bool:
    return norm is None or math.isfinite(norm)


def _by_clipping(
    clips: tuple[Clip, ...], still: set[str], everything: list[str], least: float
) -> Findings:
    losses = {clip: loss for clip in clips if (loss := _loss(clip, still)) >= least}
    if not losses:
        return
    worst = max(losses, key=lambda clip: losses[clip])
    rest = worst.norm_of(set(worst.parameters) - still)
    is_lost = not math.isfinite(worst.total)
    for tree in subtrees([name for name in worst.parameters if name in still], everything):
        yield Finding(
            subject=tree.subject,
            message=(
                "never moves, yet its gradient is in the norm that clips all others"
                + (", and leaves nothing of them" if is_lost else ", and shrinks their updates")
            ),
            measured=f"norm {worst.total:.4g} with it, {rest:.4g} without, limit "
            f"{worst.max_norm:.4g}: the others are multiplied by {worst.factor(worst.total):.3g} "
            f"instead of {worst.factor(rest):.3g}; {len(losses)} of {len(clips)} clippings",
            expected="requires_grad=False, and a norm of what is trained",
            at=Place(
                parameter=tree.place.parameter,
                module=tree.place.module,
                file=worst.at.file,
                line=worst.at.line,
                function=worst.at.function,
            ),
            severity=Severity.ERROR if is_lost else None,
        )


def _loss(clip: Clip, still: set[str]) -> float:
    """Return the share of the others' gradients that is lost to those that stand still."""
    leaking = still.intersection(clip.parameters)
    rest = clip.norm_of(set(clip.parameters) - leaking)
    if not leaking or not rest or not math.isfinite(rest):
        return 0.0
    total = clip.norm_of(clip.parameters)
    if not math.isfinite(clip.total):
        return 0.0 if math.isfinite(total) else 1.0
    if not math.isclose(clip.total, total, rel_tol=SAME):
        return 0.0  # it was taken over more than these gradients
    return 1 - clip.factor(clip.total) / clip.factor(rest)


def _by_skipping(skipped: SkippedSteps | None, still: set[str], everything: list[str]) -> Findings:
    blamed: dict[str, int] = {}
    steps = skipped.steps if skipped is not None else ()
    for step in steps:
        if step.non_finite and still.issuperset(step.non_finite) and set(step.finite) - still:
            blamed.update((name, blamed.get(name, 0) + 1) for name in step.non_finite)
    for tree in subtrees(blamed, everything):
        yield Finding(
            subject=tree.subject,
            message="never moves, yet its gradient makes GradScaler skip the step of all others",
            measured=f"it alone was inf or nan in {max(blamed[name] for name in tree.members)} of "
            f"{len(steps)} skipped steps",
            expected="requires_grad=False, and the step taken",
            at=Place(
                parameter=tree.place.parameter,
                module=tree.place.module,
                file=steps[0].at.file,
                line=steps[0].at.line,
                function=steps[0].at.function,
            ),
        )


def fails_when_the_clipping_counts_a_part_at_lr_0(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(body, head)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()


def fails_when_the_optimizer_was_not_given_a_part_that_is_clipped(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(body, head)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1)
    for _step in range(2):
        model.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        norm = torch.nn.utils.get_total_norm(
            [p.grad for p in model.parameters() if p.grad is not None]
        )
        torch.nn.utils.clip_grads_with_norm_(model.parameters(), 0.01, norm)
        optimizer.step()


def fails_with_an_error_when_its_nan_is_in_the_norm(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    body.weight.register_hook(lambda gradient: gradient * float("nan"))
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    head(body(torch.ones(3, 4))).sum().backward()
    torch.nn.utils.clip_grad_norm_([*body.parameters(), *head.parameters()], 1e6)
    optimizer.step()


def fails_with_an_error_when_its_nan_reaches_its_weights_at_lr_0(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    body.weight.register_hook(lambda gradient: gradient * float("nan"))
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    head(body(torch.ones(3, 4))).sum().backward()
    optimizer.step()


def fails_when_its_inf_skips_the_step_of_the_head(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    spikes = iter((float("inf"), 1.0))
    body.weight.register_hook(lambda gradient: gradient * next(spikes))
    for _step in range(2):
        optimizer.zero_grad()
        scaler.scale(head(body(torch.ones(3, 4))).sum()).backward()
        scaler.step(optimizer)
        scaler.update()


def fails_when_the_others_lose_a_little_more_than_the_least(watch: Watch) -> None:
    _train_with_a_clip(watch, body=0.143)  # 1 - 1 / sqrt(1 + 0.143 ** 2) is 1.01 %


def passes_when_the_others_lose_a_little_less_than_the_least(watch: Watch) -> None:
    _train_with_a_clip(watch, body=0.14)  # 0.97 %


def passes_when_the_limit_is_not_reached(watch: Watch) -> None:
    _train_with_a_clip(watch, body=1.0, limit=1.5)


def passes_when_the_norm_was_taken_over_more_than_was_seen(watch: Watch) -> None:
    _train_with_a_clip(watch, body=1.0, total=10.0)


def passes_when_the_others_are_not_finite_either(watch: Watch) -> None:
    _train_with_a_clip(watch, body=float("nan"), head=float("inf"))


def _train_with_a_clip(
    watch: Watch, *, body: float, head: float = 1.0, limit: float = 0.5, total: float | None = None
) -> None:
    import torch

    model = torch.nn.Sequential(
        torch.nn.Linear(4, 4, bias=False), torch.nn.Linear(4, 2, bias=False)
    )
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[1].parameters(), "lr": 0.1}]
    )
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    clip = Clip(
        step=0,
        max_norm=limit,
        norm_type=2.0,
        total=math.hypot(body, head) if total is None else total,
        parameters=("0.weight", "1.weight"),
        norms=(body, head),
    )
    watch.saw(Clips(clips=(clip,)))


def passes_when_the_part_is_frozen(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(body, head)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()


def passes_when_only_the_trained_part_is_clipped(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    for _step in range(2):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 0.01)
        optimizer.step()


def passes_when_the_part_warms_up_from_0(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    model = torch.nn.Sequential(body, head)
    optimizer = torch.optim.SGD([{"params": [*part.parameters()]} for part in (body, head)])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, [lambda step: max(0, step - 5) / 10, lambda _step: 1.0]
    )
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)
        optimizer.step()
        schedule.step()


def passes_when_the_scaler_skips_for_the_head_as_well(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0)
    for spike in (float("inf"), 1.0):  # in the loss, and so in every gradient
        optimizer.zero_grad()
        scaler.scale(spike * head(body(torch.ones(3, 4))).sum()).backward()
        scaler.step(optimizer)
        scaler.update()
