"""Trainable parameters get no gradient, because their value enters the loss through `no_grad`.

## What it proves
In the recorded steps a value that depends on these parameters was computed under `no_grad`,
`inference_mode` or `set_grad_enabled(False)` and entered the loss again after it; and no backward
reached the parameters by any other path. They require a gradient and an optimizer that holds them
stepped.

## Why it matters
The loss depends on these parameters, and training cannot know how: they keep their initial values
while the rest learns around them. Nothing is logged and the loss still falls.

## What to do
Move the operation out of the region that is named. If the part is meant to be frozen, say so with
`requires_grad_(False)` and leave it out of the optimizer.

## Limits
A value that is the target of a loss, or that is taken off again as a straight-through estimator
does, is a note. Parameters that the program moves itself (a teacher that follows by averaging),
whose learning rate is 0, or that are declared frozen are left alone.

## Sources
- https://docs.pytorch.org/docs/stable/notes/autograd.html#no-grad-mode
- https://arxiv.org/abs/2511.01390, whose attention scores are often computed so
"""

from typing import Any

from stepscope.core import Finding, Findings, Related, Severity, Watch, rule
from stepscope.evidence.dead_parameters import cut_off
from stepscope.evidence.gradient_paths import Cut, CutKind, CutRole, GradientPaths
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters


@rule("GRD002", Severity.ERROR)
def cut_by_no_grad(
    paths: GradientPaths, parameters: Parameters, optimizers: Optimizers, intent: Intent | None
) -> Findings:
    moved = parameters.moved
    everything = tuple(each.name for each in parameters.parameters)
    frozen = intent.frozen if intent else ()
    for cut in paths.cuts:
        if cut.kind is not CutKind.NO_GRAD:
            continue
        dead = [
            name
            for name in cut.dead
            if name not in moved and not optimizers.stands_still(name) and not matches(name, frozen)
        ]
        if not dead:
            continue
        found = cut_off(dead, everything, cut.region or cut.at)
        yield Finding(
            subject=found.subject,
            message=(
                "gets no gradient: its value enters the loss only through an operation"
                " without gradient"
            ),
            measured=(
                f"`{cut.operation}` under no_grad in {cut.steps} of the recorded steps;"
                f" {found.count} trainable parameters behind it that no backward reaches"
            ),
            expected="the operation outside the region, or these parameters frozen",
            at=found.at,
            related=tuple(_related(cut)),
            severity=None if cut.role in (CutRole.FEATURE, CutRole.WEIGHT) else Severity.NOTE,
        )


def _related(cut: Cut) -> list[Related]:
    found = [Related("first operation without gradient", cut.at)]
    return found + [Related("enters the graph again", at) for at in cut.enters]


def fails_when_the_backbone_feeds_only_scores_under_no_grad(_: Watch) -> None:
    import torch

    backbone, values = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    parameters = [*backbone.parameters(), *values.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _step in range(2):
        x = torch.randn(3, 4)
        with torch.no_grad():
            features = backbone(x)
            scores = torch.softmax(features @ features.T, dim=-1)
        optimizer.zero_grad()
        values(scores @ x).sum().backward()
        optimizer.step()


def fails_when_the_function_is_decorated(_: Watch) -> None:
    import torch

    encoder, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)

    @torch.no_grad()
    def encode(x: torch.Tensor) -> torch.Tensor:
        return torch.relu(encoder(x))

    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        head(encode(torch.randn(3, 4))).sum().backward()
        optimizer.step()


def fails_once_for_a_line_that_three_modules_run(_: Watch) -> None:
    import torch

    class Gate(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score, self.value = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                score = self.score(x).sigmoid()
            result: torch.Tensor = self.value(score * x)
            return result

    model = torch.nn.Sequential(Gate(), Gate(), Gate())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_features_keep_another_path(_: Watch) -> None:
    import torch

    backbone, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD([*backbone.parameters(), *head.parameters()], lr=0.1)
    for _step in range(2):
        features = backbone(torch.randn(3, 4))
        with torch.no_grad():
            scores = torch.softmax(features @ features.T, dim=-1)
        optimizer.zero_grad()
        head(scores @ features).sum().backward()
        optimizer.step()


def passes_when_a_teacher_follows_by_averaging(_: Watch) -> None:
    import copy

    import torch
    from torch.nn.functional import mse_loss

    student = torch.nn.Linear(4, 4)
    teacher = copy.deepcopy(student)
    optimizer = torch.optim.SGD([*student.parameters(), *teacher.parameters()], lr=0.1)
    for _step in range(2):
        x = torch.randn(3, 4)
        with torch.no_grad():
            target = teacher(x + 0.1)
        optimizer.zero_grad()
        mse_loss(student(x), target).backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.1)


def passes_when_the_part_is_declared_frozen(watch: Watch) -> None:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = torch.nn.Linear(4, 4)
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                features = self.encoder(x)
            result: torch.Tensor = self.head(features)
            return result

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()
    watch.saw(Intent(frozen=("encoder",)))


def passes_when_the_learning_rate_is_zero(_: Watch) -> None:
    import torch

    encoder, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    groups: list[dict[str, Any]] = [
        {"params": encoder.parameters(), "lr": 0.0},
        {"params": head.parameters()},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _step in range(2):
        with torch.no_grad():
            features = encoder(torch.randn(3, 4))
        optimizer.zero_grad()
        head(features).sum().backward()
        optimizer.step()


def fails_as_a_note_when_the_value_is_a_target(_: Watch) -> None:
    import torch
    from torch.nn.functional import mse_loss

    student, teacher = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)
    optimizer = torch.optim.SGD([*student.parameters(), *teacher.parameters()], lr=0.1)
    for _step in range(2):
        x = torch.randn(3, 4)
        with torch.no_grad():
            target = teacher(x)
        optimizer.zero_grad()
        mse_loss(student(x), target).backward()
        optimizer.step()
