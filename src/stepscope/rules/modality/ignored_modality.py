"""The loss does not depend on an input of the model.

## What it proves
In the recorded steps the input was given to the trained model, and the value of no loss on which
a backward was started was computed from it, by any operation.

## Why it matters
The model trains without that modality. The loss falls on what the others can explain, and nothing
in a log tells it.

## What to do
Follow the input from the forward's argument to where it is dropped: a branch that is switched off,
a feature overwritten by another's, a fusion that takes one side only.

## Limits
It is an error where the intent declares the modality, and a warning otherwise, for floating-point
inputs of three dimensions and more only: masks, sizes and metadata need not reach a loss. An input
that left torch, or went into code that cannot be followed, counts as used. That a loss depends on
an input does not say that it depends on it much.

## Sources
- Wu et al., "Characterizing and overcoming the greedy nature of learning in multi-modal deep
  neural networks" (ICML 2022), https://arxiv.org/abs/2202.05306
"""

from fnmatch import fnmatchcase

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.gradient_paths import GradientPaths, InputPath
from stepscope.evidence.intent import Intent

_IMAGE_LIKE = 3  # dimensions: a batch of sequences of vectors, or of images


@rule("MOD001", Severity.WARNING)
def ignored_modality(paths: GradientPaths, intent: Intent | None) -> Findings:
    declared = intent.modalities if intent else ()
    for pattern in declared:
        meant = [each for each in paths.inputs if fnmatchcase(each.name, pattern)]
        if not meant:
            yield _missing(pattern, paths.inputs)
        for each in meant:
            if not each.reaches_loss or each.gradient == 0:
                yield _ignored(each, Severity.ERROR)
    for each in paths.inputs:
        named = any(fnmatchcase(each.name, pattern) for pattern in declared)
        if not named and not each.reaches_loss and len(each.shape) >= _IMAGE_LIKE:
            yield _ignored(each, None)


def _ignored(path: InputPath, severity: Severity | None) -> Finding:
    found = (
        "the derivative of the loss by it is exactly 0"
        if path.reaches_loss
        else "no loss was computed from it"
    )
    return Finding(
        subject=f"input {path.name!r}",
        message="is given to the model, but the loss does not depend on it",
        measured=f"shape {path.shape}; {found} in the recorded steps",
        expected="a loss that is computed from it",
        at=Place(parameter=path.name),
        severity=severity,
    )


def _missing(pattern: str, inputs: tuple[InputPath, ...]) -> Finding:
    given = ", ".join(repr(each.name) for each in inputs) or "none"
    return Finding(
        subject=f"modality {pattern!r}",
        message="is declared, but no floating-point input of the model has this name",
        measured=f"inputs given: {given}",
        expected=f"an input that matches {pattern!r}",
        at=Place(parameter=pattern),
        severity=Severity.ERROR,
    )


def _train(*, uses_thermal: bool, thermal_dimensions: int = 4) -> None:
    import torch

    class Fusion(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(6, 1)

        def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
            both = visible.mean((2, 3)), thermal.reshape(2, 3, -1).mean(2)
            result: torch.Tensor = self.head(
                torch.cat(both if uses_thermal else (both[0], both[0]), dim=-1)
            )
            return result

    model = Fusion()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        shape = (2, 3, 4, 4) if thermal_dimensions == 4 else (6, 16)  # noqa: PLR2004
        optimizer.zero_grad()
        model(torch.randn(2, 3, 4, 4), torch.randn(shape)).sum().backward()
        optimizer.step()


def fails_when_the_thermal_image_is_dropped(_: Watch) -> None:
    _train(uses_thermal=False)


def fails_as_an_error_when_declared(watch: Watch) -> None:
    _train(uses_thermal=False, thermal_dimensions=2)
    watch.saw(Intent(modalities=("visible", "thermal")))


def fails_when_no_input_has_the_declared_name(watch: Watch) -> None:
    _train(uses_thermal=True)
    watch.saw(Intent(modalities=("visible", "depth*")))


def fails_when_the_derivative_is_exactly_zero(watch: Watch) -> None:
    paths = (InputPath(name="thermal", shape=(2, 3), reaches_loss=True, gradient=0.0),)
    watch.saw(GradientPaths(unreached=(), used=(), cuts=(), inputs=paths))
    watch.saw(Intent(modalities=("thermal",)))


def passes_when_both_are_used(watch: Watch) -> None:
    _train(uses_thermal=True)
    watch.saw(Intent(modalities=("visible", "thermal")))


def passes_when_an_undeclared_table_of_two_dimensions_is_dropped(_: Watch) -> None:
    _train(uses_thermal=False, thermal_dimensions=2)


def passes_when_the_input_leaves_torch(_: Watch) -> None:
    import torch

    class Host(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 1)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(torch.from_numpy(image.numpy() * 2))
            return result

    model = Host()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(2, 3, 4)).sum().backward()
        optimizer.step()
