"""What was declared frozen requires gradients, or what was declared trainable does not.

## What it proves
A parameter that a pattern of `frozen` names required a gradient at a recorded step; or one that
a pattern of `trainable` names required none at any; or a pattern names no parameter at all.

## Why it matters
The run does not train what its author says it trains. A pattern that matches nothing is the same
defect before it happens: a renamed module, or a wrapper that changed the prefix.

## What to do
Freeze or unfreeze the parameters, or correct the declared intent.

## Limits
Without declared patterns there is nothing to compare with: the rule is skipped. A parameter that
requires gradients in some steps only, such as the discriminator of a GAN, counts as trainable.

## Sources
- https://docs.pytorch.org/docs/stable/notes/autograd.html#setting-requires-grad
"""

import difflib
from collections.abc import Iterator

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.parameters import Parameter, Parameters
from stepscope.evidence.subtrees import subtrees


@rule("FRZ006", Severity.ERROR)
def intent_frozen_trainable(intent: Intent, parameters: Parameters) -> Findings:
    if not (intent.frozen or intent.trainable):
        raise NotJudged("neither `frozen` nor `trainable` is declared")
    known = parameters.parameters
    yield from _findings(
        [each for each in known if _is_meant(each, intent.frozen) and not each.frozen],
        parameters,
        message="is declared frozen, but requires gradients",
        expected="requires_grad=False at every step",
    )
    yield from _findings(
        [each for each in known if _is_meant(each, intent.trainable) and each.frozen],
        parameters,
        message="is declared trainable, but requires no gradients",
        expected="requires_grad=True",
    )
    for pattern in (*intent.frozen, *intent.trainable):
        if not any(_is_meant(each, (pattern,)) for each in known):
            yield Finding(
                subject=f"pattern {pattern!r}",
                message="names no parameter of the model",
                measured=f"0 of {len(known)} parameters match{_nearest(pattern, parameters)}",
                expected="at least 1 parameter",
                at=Place(module=pattern),
            )


def _is_meant(parameter: Parameter, patterns: tuple[str, ...]) -> bool:
    return any(matches(name, patterns) for name in (parameter.name, *parameter.aliases))


def _findings(
    wrong: list[Parameter], parameters: Parameters, *, message: str, expected: str
) -> Iterator[Finding]:
    sizes = {each.name: each.numel for each in parameters.parameters}
    for tree in subtrees((each.name for each in wrong), sizes):
        elements = sum(sizes[name] for name in tree.members)
        yield Finding(
            subject=tree.subject,
            message=message,
            measured=f"{elements:,} of {sum(sizes.values()):,} elements",
            expected=expected,
            at=tree.place,
        )


def _nearest(pattern: str, parameters: Parameters) -> str:
    names: dict[str, None] = {}
    for parameter in parameters.parameters:
        parts = parameter.name.split(".")
        names.update((".".join(parts[: i + 1]), None) for i in range(len(parts)))
    plain = pattern.replace("*", "").strip(".")
    near = difflib.get_close_matches(plain, names, n=2)
    near += [n for n in names if n.endswith(f".{plain.split('.')[-1]}") and n not in near][:2]
    return f"; nearest: {', '.join(near)}" if near else ""


def fails_when_a_declared_frozen_backbone_requires_gradients(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_a_declared_trainable_head_is_frozen(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(trainable=("1.*",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2).requires_grad_(False))
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_a_pattern_names_nothing(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("bakcbone",)))
    backbone = torch.nn.Linear(4, 4).requires_grad_(False)
    model = torch.nn.ModuleDict({"backbone": backbone, "head": torch.nn.Linear(4, 2)})
    optimizer = torch.optim.SGD(model["head"].parameters(), lr=0.1)
    model["head"](backbone(torch.ones(3, 4))).sum().backward()
    optimizer.step()


def passes_when_everything_is_as_declared(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",), trainable=("1.*",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4).requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_a_trainable_part_rests_in_some_steps(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(trainable=("0",)))
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        model[0].requires_grad_(step == 0)
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def skips_when_nothing_is_declared(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(classes=2))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
