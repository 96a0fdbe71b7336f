"""Dropout or drop-path is active inside a frozen part.

## What it proves
A dropout, drop-path or stochastic-depth layer with a probability above 0 ran in training mode in
a recorded step, and every parameter of the nearest module around it that has parameters was
frozen (`requires_grad=False`) at every recorded step, and kept its bits.

## Why it matters
A frozen part is usually meant as a fixed feature extractor. With dropout active, the same input
gives other features at each step, and other ones than in evaluation; they cannot be cached.

## What to do
Put the frozen part into `eval()` mode after every `train()` of the model. Keep the mode where the
noise is wanted as a regulariser.

## Limits
It is a warning where the declared intent freezes the part, else a note: fine-tuning a few added
parameters of a frozen model with its dropout on is common and healthy. A part of which anything
is trained, or moved without an optimizer (EMA teachers), is left alone. Batch statistics in a
frozen part are FRZ003.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.Dropout.html
"""

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.modules import Module, Modules
from stepscope.evidence.parameters import Parameters, ancestors
from stepscope.evidence.subtrees import subtrees


@rule("FRZ004", Severity.NOTE)
def frozen_in_train_mode(
    modules: Modules, parameters: Parameters, intent: Intent | None
) -> Findings:
    declared = intent.frozen if intent is not None else ()
    droppers = {module.name: module for module in modules.modules if module.drop > 0}
    active: dict[bool, list[str]] = {True: [], False: []}
    still = _still(parameters)
    for layer in droppers.values():
        nearest = next((name for name in ancestors(layer.name) if name in still), None)
        if True in layer.training and nearest is not None and still[nearest]:
            around = parameters.below(nearest)
            active[all(matches(each.name, declared) for each in around)].append(layer.name)
    for is_declared, names in active.items():
        for tree in subtrees(names, names):  # one finding, wherever the layers are
            layers = [droppers[name] for name in tree.members]
            single = tree.members == (tree.name,)
            count = f"{len(layers)} of {len(droppers)} dropout layers"
            yield Finding(
                subject=tree.name if single else f"{tree.name or 'the model'} ({count})",
                message="drops activations at random inside a frozen part",
                measured=(
                    f"{_kinds(layers)} in training mode,"
                    f" probability up to {max(each.drop for each in layers):g}"
                ),
                expected="evaluation mode in a frozen part",
                at=Place(module=tree.name or tree.members[0]),
                severity=Severity.WARNING if is_declared else Severity.NOTE,
            )


def _still(parameters: Parameters) -> dict[str, bool]:
    """Tell of each module with parameters below it whether all of them are frozen and stay."""
    still: dict[str, bool] = {}
    for parameter in parameters.parameters:
        is_still = parameter.frozen and not parameter.ever_changed
        for above in ancestors(parameter.name):
            still[above] = still.get(above, True) and is_still
    return still


def _kinds(layers: list[Module]) -> str:
    return ", ".join(sorted({layer.kind for layer in layers}))


def fails_when_a_frozen_encoder_drops_at_random(_: Watch) -> None:
    import torch

    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
    model = torch.nn.Sequential(encoder.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_the_part_was_declared_frozen(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(frozen=("0",)))
    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
    model = torch.nn.Sequential(encoder.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_probability_is_zero(_: Watch) -> None:
    import torch

    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.0))
    model = torch.nn.Sequential(encoder.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_frozen_encoder_is_in_evaluation_mode(_: Watch) -> None:
    import torch

    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1)).eval()
    model = torch.nn.Sequential(encoder.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_a_part_of_it_is_trained(_: Watch) -> None:
    import torch

    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Dropout(0.1))
    encoder[0].weight.requires_grad_(False)
    model = torch.nn.Sequential(encoder, torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_part_is_a_teacher_that_follows(_: Watch) -> None:
    import torch

    student = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.1))
    teacher = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.Dropout(0.1))
    teacher.requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        (student(torch.ones(3, 4)) - teacher(torch.ones(3, 4))).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.1)


def passes_when_only_batch_statistics_are_active(_: Watch) -> None:
    import torch

    encoder = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.BatchNorm1d(4))
    model = torch.nn.Sequential(encoder.requires_grad_(False), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model[1].parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
