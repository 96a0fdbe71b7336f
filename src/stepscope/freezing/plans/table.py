"""What takes effect on each part of a model: learning rate, weight decay, mode, elements."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import nn

from stepscope.evidence.rates import Part
from stepscope.freezing.modes import NORMALISATION, is_held

DEPTH = 3  # levels of the model that are told apart


Treatment = tuple[float, float] | None  # lr and weight decay of its group


def parts(
    model: nn.Module, groups: Sequence[Mapping[str, Any]], depth: int = DEPTH
) -> tuple[Part, ...]:
    """Return each largest part that is treated alike.

    `groups` are the parameter groups of an optimizer, live or about to be made. A group without
    `weight_decay` of its own counts as 0.
    """
    treatment: dict[int, Treatment] = {
        id(parameter): (float(group["lr"]), float(group.get("weight_decay", 0.0)))
        for group in groups
        for parameter in group["params"]
    }
    return tuple(_split("", model, treatment, depth, counted=set()))


def _split(
    name: str, module: nn.Module, treatment: dict[int, Treatment], depth: int, counted: set[int]
) -> Iterator[Part]:
    parameters = [each for each in module.parameters() if id(each) not in counted]
    if not parameters:
        return
    kinds = {(each.requires_grad, treatment.get(id(each))) for each in parameters}
    children = dict(module.named_children())
    level = name.count(".") + 1 if name else 0
    if name and (len(kinds) == 1 or level >= depth or not children):
        counted |= {id(each) for each in parameters}
        yield _part(name, parameters, treatment, [*module.modules()])
        return
    for key, parameter in module.named_parameters(recurse=False):
        if id(parameter) not in counted:
            counted.add(id(parameter))
            yield _part(f"{name}.{key}" if name else key, [parameter], treatment, [])
    for key, child in children.items():
        yield from _split(f"{name}.{key}" if name else key, child, treatment, depth, counted)


def _part(
    name: str,
    parameters: Sequence[nn.Parameter],
    treatment: Mapping[int, Treatment],
    modules: Sequence[nn.Module],
) -> Part:
    groups = [found for each in parameters if (found := treatment.get(id(each))) is not None]
    norms = {
        "eval" if is_held(module) or not module.training else "train"
        for module in modules
        if isinstance(module, NORMALISATION)
    }
    return Part(
        module=name,
        elements=sum(each.numel() for each in parameters),
        frozen=sum(each.numel() for each in parameters if not each.requires_grad),
        lrs=tuple(sorted({lr for lr, _ in groups})),
        weight_decays=tuple(sorted({decay for _, decay in groups})),
        left_out=sum(
            each.numel()
            for each in parameters
            if each.requires_grad and treatment.get(id(each)) is None
        ),
        norms="both" if len(norms) > 1 else next(iter(norms), ""),
    )
