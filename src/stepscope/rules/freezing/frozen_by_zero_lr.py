"""Parameters that are never updated, because their learning rate is 0, still require gradients.

## What it proves
At every recorded step each parameter group that holds the parameter had lr 0, the next step
would use 0 too, and no scheduler has another base rate for it. The parameter requires a gradient,
backward reached it, and its bits did not change. Another group of the program has an lr above 0.

## Why it matters
lr 0 is not a freeze. Backward still computes these gradients and memory still holds them; they
enter the norm that clips all others; one that is inf makes `GradScaler` skip the step of the
healthy part; one that is nan turns its weight into nan, since 0 * nan is nan; and
`DistributedDataParallel` sends them over the network. Running statistics of BatchNorm and dropout
are as active as before.

## What to do
Call `requires_grad_(False)` on these parameters before the optimizer is made, and hand the
optimizer only what is left. Keep the part in `eval()` mode if its statistics are to stay.

## Limits
A warm-up that starts at 0 is left alone: its scheduler has a base rate, or the next step has an
lr above 0. Where every group has lr 0, nothing trains at all, which is not about freezing. A part
that something else than an optimizer moves is left alone. That the program will raise the rate
by hand in a later epoch cannot be seen.

## Sources
- https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
- https://github.com/open-mmlab/mmdetection/issues/8210
"""

from collections.abc import Collection

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.gradients import Gradient, Gradients
from stepscope.evidence.optimizers import Group, Optimizers
from stepscope.evidence.parameters import Parameter, Parameters
from stepscope.evidence.subtrees import subtrees

SHOWN = 4  # group numbers; of more only the count


@rule("FRZ001", Severity.ERROR)
def frozen_by_zero_lr(
    parameters: Parameters, optimizers: Optimizers, gradients: Gradients, _: Beginning
) -> Findings:
    if not any(lr > 0 for group in optimizers.groups for lr in (*group.lrs, group.lr_next)):
        return
    received = {each.parameter: each for each in gradients.gradients if _arrived(each)}
    still = [
        parameter
        for parameter in parameters.parameters
        if parameter.name in received
        and parameter.trainable
        and not parameter.ever_changed
        and optimizers.stands_still(parameter.name)
    ]
    held_by: dict[int, list[Parameter]] = {}
    for parameter in still:
        held_by.setdefault(optimizers.groups_of(parameter.name)[0].optimizer, []).append(parameter)
    sizes = {parameter.name: parameter.numel for parameter in parameters.parameters}
    for index, members in held_by.items():
        made_at = optimizers.optimizers[index].made_at
        for tree in subtrees((each.name for each in members), sizes):
            groups = {g: None for name in tree.members for g in optimizers.groups_of(name)}
            elements = sum(sizes[name] for name in tree.members)
            held = sum(received[name].nbytes for name in tree.members)
            yield Finding(
                subject=tree.subject,
                message=(
                    "is not updated, because its learning rate is 0, yet it requires gradients"
                    " and backward computes them"
                ),
                measured=(
                    f"lr 0 in {_numbers(groups, optimizers)}"
                    f" over {optimizers.optimizers[index].stepped} steps;"
                    f" {elements:,} of {sum(sizes.values()):,} elements;"
                    f" {_bytes(held)} of gradients held; bits unchanged"
                ),
                expected="requires_grad=False, and no gradients",
                at=Place(
                    parameter=tree.place.parameter,
                    module=tree.place.module,
                    file=made_at.file,
                    line=made_at.line,
                    function=made_at.function,
                ),
            )


def _arrived(gradient: Gradient) -> bool:
    return any(gradient.reached) or any(norm is not None for norm in gradient.norms)


def _bytes(count: int) -> str:
    return f"{count / 2**20:,.1f} MiB" if count >= 2**20 else f"{count:,} bytes"


def _numbers(groups: Collection[Group], optimizers: Optimizers) -> str:
    kind = optimizers.optimizers[next(iter(groups)).optimizer].kind
    if len(groups) > SHOWN:
        return f"{len(groups)} groups of {kind}"
    numbers = ", ".join(str(group.index) for group in groups)
    return f"group{'s' if len(groups) > 1 else ''} {numbers} of {kind}"


def fails_when_the_backbone_has_a_learning_rate_of_zero(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": backbone.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    for _step in range(2):
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()


def fails_once_where_each_parameter_has_a_group_of_its_own(_: Watch) -> None:
    import torch

    backbone = torch.nn.Sequential(*(torch.nn.Linear(4, 4) for _layer in range(3)))
    head = torch.nn.Linear(4, 2)
    groups = [{"params": [p], "lr": 0.0} for p in backbone.parameters()]
    optimizer = torch.optim.AdamW([*groups, {"params": head.parameters(), "lr": 0.1}])
    for _step in range(2):
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()


def fails_when_a_schedule_multiplies_the_zero(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": backbone.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1)
    for _step in range(2):
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_backbone_is_frozen(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(head.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()


def passes_when_the_learning_rate_is_tiny_but_not_zero(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(
        [{"params": backbone.parameters(), "lr": 1e-12}, {"params": head.parameters(), "lr": 0.1}]
    )
    for _step in range(2):
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()


def passes_when_a_warm_up_of_one_group_starts_at_zero(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD([{"params": [*layer.parameters()]} for layer in (backbone, head)])
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, [lambda step: max(0, step - 5) / 10, lambda _step: 1.0]
    )
    for _step in range(3):
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()
        schedule.step()


def passes_when_the_next_step_has_a_learning_rate(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [{"params": backbone.parameters(), "lr": 0.0}, {"params": head.parameters(), "lr": 0.1}]
    )
    for step in range(3):
        optimizer.param_groups[0]["lr"] = 0.01 * step
        optimizer.zero_grad()
        head(backbone(torch.ones(3, 4))).sum().backward()
        optimizer.step()


def passes_when_nothing_has_a_learning_rate(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_program_moves_the_part_itself(_: Watch) -> None:
    import torch

    student, teacher = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(
        [
            {"params": student.parameters(), "lr": 0.1},
            {"params": teacher.parameters(), "lr": 0.0},
        ]
    )
    for _step in range(2):
        optimizer.zero_grad()
        (student(torch.ones(3, 4)) - teacher(torch.ones(3, 4))).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
