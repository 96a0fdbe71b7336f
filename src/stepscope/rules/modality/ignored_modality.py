"""The loss does not depend on an input of the model.

## What it proves
In the recorded steps the input was given to the trained model, and the value of no loss on which
a backward was started was computed from it, by any operation. Or, for a declared modality: it was
computed from it, but every gradient that backward brought to the first values computed from the
input was exactly 0, in three steps between which the model moved; so the derivative of the loss by
the input was exactly 0.

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
an input does not say that it depends on it much. A derivative of 0 is judged for declared
modalities only, and not where a comparison or an index is computed from the input.

## Sources
- Wu et al., "Characterizing and overcoming the greedy nature of learning in multi-modal deep
  neural networks" (ICML 2022), https://arxiv.org/abs/2202.05306
"""

from fnmatch import fnmatchcase

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.gradient_paths import GradientPaths, InputPath
from stepscope.evidence.intent import Intent
from stepscope.evidence.parameters import Parameters

_IMAGE_LIKE = 3  # dimensions: a batch of sequences of vectors, or of images


@rule("MOD001", Severity.WARNING)
def ignored_modality(
    paths: GradientPaths, intent: Intent | None, parameters: Parameters | None, *, steps: int = 3
) -> Findings:
    moved = _steps_that_moved(parameters) if parameters else 0
    declared = intent.modalities if intent else ()
    for pattern in declared:
        meant = [each for each in paths.inputs if fnmatchcase(each.name, pattern)]
        if not meant:
            yield _missing(pattern, paths.inputs)
        for each in meant:
            never = each.gradient == 0 and each.steps >= steps and moved >= steps - 1
            if not each.reaches_loss or never:
                yield _ignored(each, Severity.ERROR)
    for each in paths.inputs:
        named = any(fnmatchcase(each.name, pattern) for pattern in declared)
        if not named and not each.reaches_loss and len(each.shape) >= _IMAGE_LIKE:
            yield _ignored(each, None)


def _steps_that_moved(parameters: Parameters) -> int:
    return len({
        step
        for each in parameters.parameters
        for step, (before, after) in enumerate(
            zip(each.before, each.after, strict=False), start=each.first_step
        )
        if before != after
    })  # fmt: skip


def _ignored(path: InputPath, severity: Severity | None) -> Finding:
    found = (
        "the derivative of the loss by it is exactly 0"
        if path.reaches_loss
        else "no loss was computed from it"
    )
    return Finding(
        subject=f"input {path.name!r}",
        message=f"is given to the model, but {found}",
        measured=f"shape {path.shape}; so in {_span(path)}",
        expected="a loss that is computed from it",
        at=Place(parameter=path.name),
        severity=severity,
    )


def _span(path: InputPath) -> str:
    return f"{path.steps} recorded steps" if path.reaches_loss else "every recorded step"


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


def _gated(gate: float | None, *, steps: int = 3, lr: float = 0.1, learns: bool = False) -> None:
    import torch

    class Gated(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.frozen = torch.nn.Linear(3, 3).requires_grad_(requires_grad=False)
            self.thermal = torch.nn.Linear(3, 4)
            self.gate = torch.nn.Parameter(torch.zeros(4), requires_grad=learns)
            self.head = torch.nn.Linear(3, 4)

        def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
            weight = self.gate if gate is None else torch.full((4,), gate)
            result: torch.Tensor = self.head(visible) + weight * self.thermal(self.frozen(thermal))
            return result

    model = Gated()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=lr)
    for _step in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 3), torch.randn(5, 3)).square().sum().backward()
        optimizer.step()


def fails_when_the_gate_of_a_declared_modality_is_zero(watch: Watch) -> None:
    _gated(0.0)
    watch.saw(Intent(modalities=("thermal",)))


def fails_when_a_gate_at_zero_does_not_learn(watch: Watch) -> None:
    _gated(None)
    watch.saw(Intent(modalities=("thermal",)))


def passes_when_the_gate_is_small(watch: Watch) -> None:
    _gated(1e-6)
    watch.saw(Intent(modalities=("visible", "thermal")))


def passes_when_a_gate_learns_from_zero(watch: Watch) -> None:
    _gated(None, learns=True)
    watch.saw(Intent(modalities=("visible", "thermal")))


def passes_when_the_gate_was_at_zero_for_two_steps_only(watch: Watch) -> None:
    _gated(0.0, steps=2)
    watch.saw(Intent(modalities=("thermal",)))


def passes_when_nothing_moved_behind_a_gate_at_zero(watch: Watch) -> None:
    _gated(0.0, lr=0.0)
    watch.saw(Intent(modalities=("thermal",)))


def passes_when_an_undeclared_modality_is_behind_a_gate_at_zero(_: Watch) -> None:
    _gated(0.0)


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
