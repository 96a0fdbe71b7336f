"""A schedule lifts a parameter group that was made with a learning rate of 0.

## What it proves
The group was made with lr 0, while another group of the same optimizer was not, and still had 0
when a scheduler was made with one rate for all groups: a floor (`eta_min`, `lr_min`) or a peak
(`max_lr`, `eta_max`, `swa_lr`). That rate is above 0, and the parameters require gradients. The
evidence gives the closed form, the rates seen, and which bits moved.

## Why it matters
Whoever writes lr 0 for a part means it to stay. A multiplicative schedule keeps 0; a cosine down to
`eta_min` has to come from 0 *up* to it, and one `max_lr` for all overwrites every rate. The part
then drifts by amounts too small for any curve (1e-8 after ten steps, at `eta_min=1e-6`), and is no
longer the checkpoint that it was loaded from.

## What to do
Freeze with `requires_grad_(False)`, and leave the part out of the optimizer. Else give the
scheduler a rate for each group (`max_lr=[0.0, 1e-3]`), or no floor.

## Limits
It is an error where `frozen` of the declared intent names the part and a step has used, or the next
one would use, a rate above 0; else a warning. Knows the schedulers of torch and MMEngine, and the
cosine of timm. A schedule of your own, a rate given for each group, a group that is raised by hand
and a warm-up from 0 of a group that was made with a rate are left alone; so is an optimizer whose
groups were all made with 0, where the scheduler gives the rates.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.CosineAnnealingLR.html
- https://docs.pytorch.org/docs/stable/generated/torch.optim.lr_scheduler.OneCycleLR.html
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.optimizers import Group, Optimizers, Schedules, SharedRate
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import Subtree, subtrees

SHOWN = 4  # rates of a group, the latest


@rule("FRZ010", Severity.WARNING)
def schedule_revives_zero_lr(
    parameters: Parameters,
    optimizers: Optimizers,
    schedules: Schedules,
    intent: Intent | None,
    _: Beginning,
) -> Findings:
    declared = intent.frozen if intent is not None else ()
    trainable = {each.name for each in parameters.parameters if not each.frozen}
    everything = [each.name for each in parameters.parameters]
    blamed: set[str] = set()
    for shared in schedules.shared_rates:
        own = [group for group in optimizers.groups if group.optimizer == shared.optimizer]
        revived = [group for group in own if _is_revived(group, shared)]
        if not revived or not any(group.made_lr for group in own):
            continue
        held = {name: group for group in revived for name in group.parameters if name in trainable}
        for tree in subtrees([name for name in held if name not in blamed], everything):
            blamed.update(tree.members)
            groups = [held[name] for name in tree.members]
            is_lifted = any(lr > 0 for group in groups for lr in (*group.lrs, group.lr_next))
            is_declared = all(matches(name, declared) for name in tree.members)
            yield Finding(
                subject=tree.subject,
                message=(
                    f"was given a learning rate of 0, and {shared.scheduler} "
                    f"{'lifts' if is_lifted else 'will lift'} it to its {shared.setting}"
                ),
                measured=_measured(tree, groups[0], shared, parameters),
                expected="lr 0 at every step of the schedule, or requires_grad=False",
                at=Place(
                    parameter=tree.place.parameter,
                    module=tree.place.module,
                    file=shared.at.file,
                    line=shared.at.line,
                    function=shared.at.function,
                ),
                severity=Severity.ERROR if is_declared and is_lifted else None,
            )


def _is_revived(group: Group, shared: SharedRate) -> bool:
    has_it = group.index < len(shared.lrs) and shared.lrs[group.index] == 0
    return has_it and group.made_lr == 0 and shared.rate > 0


def _measured(tree: Subtree, group: Group, shared: SharedRate, parameters: Parameters) -> str:
    rates = (*group.lrs, group.lr_next)[-SHOWN:]
    law = f": lr after t steps is {shared.law}" if shared.law else ""
    moved = sum(name in parameters.moved for name in tree.members)
    elements = sum(each.numel for each in parameters.parameters if each.name in tree.members)
    return (
        f"made with lr 0; {shared.setting}={shared.rate:g}{law}; last seen "
        f"{', '.join(f'{lr:.3g}' for lr in rates)}; bits of {moved} of {len(tree.members)} moved; "
        f"{elements:,} elements"
    )


def fails_when_a_cosine_ends_at_a_floor(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 1e-3}]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-12)
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def fails_when_the_schedule_has_not_stepped_yet(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 1e-3}]
    )
    torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(optimizer, T_0=10, eta_min=1e-6)
    head(body(torch.ones(3, 4))).sum().backward()
    optimizer.step()


def fails_when_one_peak_is_given_for_all_groups(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 1e-3}]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=100)
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def fails_as_an_error_when_the_part_is_declared_frozen(watch: Watch) -> None:
    import torch

    watch.saw(Intent(frozen=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(
        [{"params": model[0].parameters(), "lr": 0.0}, {"params": model[1].parameters(), "lr": 0.1}]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-3)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_cosine_ends_at_zero(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 1e-3}]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=0.0)
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_each_group_has_a_peak_of_its_own(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 1e-3}]
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=[1e-4, 1e-2], total_steps=100)
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_part_is_really_frozen(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 1e-3}]
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-6)
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_scheduler_gives_all_groups_their_rate(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW([{"params": [*p.parameters()]} for p in (body, head)], lr=0.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=1e-2, total_steps=100)
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_a_group_that_has_a_rate_warms_up_from_0(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD([{"params": [*p.parameters()]} for p in (body, head)], lr=0.1)
    warm_up = torch.optim.lr_scheduler.LambdaLR(
        optimizer, [lambda step: min(1.0, step / 5), lambda _step: 1.0]
    )
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=100, eta_min=1e-6)
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [warm_up, cosine], milestones=[5])
    for _step in range(3):
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_program_raises_the_rate_by_hand(_: Watch) -> None:
    import torch

    body, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": body.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10)
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 0.01 * step
        optimizer.zero_grad()
        head(body(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()
