"""A parameter group holds more, or less, than the pattern that chose its parameters meant.

## What it proves
- A group with a learning rate that no other group of its optimizer has holds no parameter: the rate
  applies to nothing.
- Most parameters of a group lie below one part of the model; others in it only bear the name of
  that part inside their own (`neck.backbone_proj` beside `backbone.*`), and are trained at another
  rate than the rest of the module that they belong to.

## Why it matters
`if "backbone" in name` is true of more than the backbone, and never true of `encoder`. A layer that
should learn from nothing then learns at a hundredth of the rate, or a backbone at the full one.

## What to do
Choose by module, not by text: `model.backbone.parameters()`. Or compare beginnings:
`name.startswith("backbone.")`.

## Limits
Groups of equal rates are not compared: they differ in weight decay, and empty ones are common
there. What the pattern was cannot be seen; hence a warning.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#per-parameter-options
- https://mmengine.readthedocs.io/en/latest/tutorials/optim_wrapper.html: `custom_keys` are searched
  as substrings of the parameter's name.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.optimizers import Group, Optimizers

MOST = 0.5  # of the parameters of a group: what it is about


@rule("OPT008", Severity.WARNING)
def group_pattern_accident(optimizers: Optimizers, _: Beginning) -> Findings:
    judged = False
    for index, optimizer in enumerate(optimizers.optimizers):
        groups = [group for group in optimizers.groups if group.optimizer == index]
        rates = {_rate(group) for group in groups}
        if len(rates) < 2:  # noqa: PLR2004 - one rate for all
            continue
        judged = True
        yield from _empty(groups, optimizer.kind, optimizer.made_at)
        yield from _strays(groups, optimizer.kind, optimizer.made_at)
    if not judged:
        raise NotJudged("needs an optimizer whose groups differ in their learning rates")


def _rate(group: Group) -> float:
    """Return what a group was made with: schedules may change all rates before the first step."""
    rates = (group.made_lr, group.initial_lr, *group.lrs, group.lr_next)
    return next(rate for rate in rates if rate is not None)


def _empty(groups: Sequence[Group], kind: str, at: Place) -> Iterable[Finding]:
    for group in groups:
        others = {_rate(each) for each in groups if each.index != group.index}
        if not group.parameters and _rate(group) not in others:
            yield Finding(
                subject=_subject(group, kind),
                message="holds no parameter: its learning rate applies to nothing",
                measured=f"lr {_rate(group):g}, 0 parameters; "
                + "; ".join(
                    f"group {each.index}: lr {_rate(each):g}, {len(each.parameters)}"
                    for each in groups
                    if each.index != group.index
                ),
                expected="a group of at least one parameter",
                at=at,
            )


def _strays(groups: Sequence[Group], kind: str, at: Place) -> Iterable[Finding]:
    names = {id(group): _below_common([*group.parameters], groups) for group in groups}
    for group in groups:
        heads = Counter(name.partition(".")[0] for name in names[id(group)] if "." in name)
        if not heads:
            continue
        part, count = heads.most_common(1)[0]
        if count <= MOST * len(group.parameters):
            continue
        strays = [
            name
            for name in names[id(group)]
            if not name.startswith(f"{part}.")
            and part in name
            and _is_apart(name, group, groups, names)
        ]
        if strays:
            yield Finding(
                subject=_subject(group, kind),
                message=f"holds parameters that are not below `{part}`, and only bear its name",
                measured=f"{count} of {len(group.parameters)} parameters below {part}; "
                f"{', '.join(strays[:3])} too, at lr {_rate(group):g}, while others of "
                f"{strays[0].partition('.')[0]} have {_rates_of(strays[0], groups, names)}",
                expected=f"what begins with `{part}.`",
                at=at,
            )


def _is_apart(
    name: str, group: Group, groups: Sequence[Group], names: dict[int, list[str]]
) -> bool:
    """Tell whether others of its module are trained at another rate, and none at this one."""
    head = f"{name.partition('.')[0]}."
    part = [each for each in names[id(group)] if each.startswith(head)]
    elsewhere = [
        each
        for other in groups
        if _rate(other) != _rate(group)
        for each in names[id(other)]
        if each.startswith(head)
    ]
    return len(elsewhere) > len(part)


def _rates_of(name: str, groups: Sequence[Group], names: dict[int, list[str]]) -> str:
    head = f"{name.partition('.')[0]}."
    rates = {_rate(g) for g in groups if any(each.startswith(head) for each in names[id(g)])}
    return ", ".join(f"{rate:g}" for rate in sorted(rates))


def _below_common(names: list[str], groups: Sequence[Group]) -> list[str]:
    """Cut off the leading parts that all parameters of the optimizer share."""
    parts = [name.split(".") for group in groups for name in group.parameters]
    depth = 0
    while parts and all(len(each) > depth + 1 and each[depth] == parts[0][depth] for each in parts):
        depth += 1
    return [".".join(name.split(".")[depth:]) for name in names]


def _subject(group: Group, kind: str) -> str:
    label = f' "{group.label}"' if group.label else ""
    return f"{kind}, group {group.index}{label}"


def fails_when_a_pattern_finds_nothing(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"encoder": torch.nn.Linear(4, 4), "head": torch.nn.Linear(4, 2)})
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if "backbone" in name], "lr": 1e-5},
        {"params": [p for name, p in named if "backbone" not in name], "lr": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    model["head"](model["encoder"](torch.ones(3, 4))).sum().backward()
    optimizer.step()


def fails_when_a_pattern_finds_a_layer_of_another_module(_: Watch) -> None:
    import torch

    neck = torch.nn.ModuleDict(
        {"backbone_proj": torch.nn.Linear(4, 4, bias=False), "mix": torch.nn.Linear(4, 4)}
    )
    model = torch.nn.ModuleDict({"backbone": torch.nn.Linear(4, 4), "neck": neck})
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if "backbone" in name], "lr": 1e-5},
        {"params": [p for name, p in named if "backbone" not in name], "lr": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    x = neck["backbone_proj"](model["backbone"](torch.ones(3, 4)))
    neck["mix"](x).sum().backward()
    optimizer.step()


def passes_when_beginnings_are_compared(_: Watch) -> None:
    import torch

    neck = torch.nn.ModuleDict(
        {"backbone_proj": torch.nn.Linear(4, 4, bias=False), "mix": torch.nn.Linear(4, 4)}
    )
    model = torch.nn.ModuleDict({"backbone": torch.nn.Linear(4, 4), "neck": neck})
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if name.startswith("backbone.")], "lr": 1e-5},
        {"params": [p for name, p in named if not name.startswith("backbone.")], "lr": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    x = neck["backbone_proj"](model["backbone"](torch.ones(3, 4)))
    neck["mix"](x).sum().backward()
    optimizer.step()


def passes_when_a_whole_module_bears_the_name_too(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict(
        {
            "backbone": torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)),
            "text_backbone": torch.nn.Linear(4, 4),
            "head": torch.nn.Linear(4, 2),
        }
    )
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if "backbone" in name], "lr": 1e-5},
        {"params": [p for name, p in named if "backbone" not in name], "lr": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    x = model["text_backbone"](model["backbone"](torch.ones(3, 4)))
    model["head"](x).sum().backward()
    optimizer.step()


def passes_when_an_empty_group_has_a_rate_that_another_has_too(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleDict({"encoder": torch.nn.Linear(4, 4), "head": torch.nn.Linear(4, 2)})
    groups = [
        {"params": list(model["encoder"].parameters()), "lr": 1e-5},
        {"params": list(model["head"].parameters()), "lr": 1e-3},
        {"params": [], "lr": 1e-3, "weight_decay": 0.0},  # what would have no decay
    ]
    optimizer = torch.optim.AdamW(groups)
    model["head"](model["encoder"](torch.ones(3, 4))).sum().backward()
    optimizer.step()


def passes_when_half_of_a_group_lies_elsewhere(_: Watch) -> None:
    import torch

    neck = torch.nn.ModuleDict(
        {"backbone_proj": torch.nn.Linear(4, 4, bias=False), "mix": torch.nn.Linear(4, 4)}
    )
    backbone = torch.nn.Linear(4, 4, bias=False)
    model = torch.nn.ModuleDict({"backbone": backbone, "neck": neck})
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if "backbone" in name], "lr": 1e-5},
        {"params": [p for name, p in named if "backbone" not in name], "lr": 1e-3},
    ]
    optimizer = torch.optim.AdamW(groups)
    neck["mix"](neck["backbone_proj"](backbone(torch.ones(3, 4)))).sum().backward()
    optimizer.step()


def skips_groups_of_one_learning_rate(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    decayed = {"params": [model.weight], "weight_decay": 0.01}
    others = {"params": [model.bias], "weight_decay": 0.0}
    optimizer = torch.optim.AdamW([decayed, others], lr=1e-3)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
