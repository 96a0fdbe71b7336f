"""Trainable parameters get no gradient, because their value was detached or left torch.

## What it proves
In the recorded steps a value that depends on these parameters went through `detach()`, `.data`,
a collective of `torch.distributed` without gradient, `.item()` or NumPy, and no backward reached
the parameters by any other path. They require a gradient and an optimizer that holds them stepped.

## Why it matters
The parameters keep their initial values while the rest learns around them.

## What to do
Take the `detach()` away; gather with `torch.distributed.nn.functional.all_gather`; compute with
tensors in place of NumPy. If the part is meant to be frozen, say so with `requires_grad_(False)`
and leave it out of the optimizer.

## Limits
Where trainable layers follow the detached value, or a collective cut it, this is an error. As the
target of a loss, as a weight at the loss, or in a straight-through estimator it is a note. Where a
value left torch, it cannot be seen whether it comes back: a warning, and only for values that
leave inside a forward. A detached value whose parameters keep another path is meant so, and left
alone; so are parameters that the program moves itself, or that are declared frozen.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.Tensor.detach.html
- https://docs.pytorch.org/docs/stable/distributed.html#collective-functions, which do not
  differentiate
"""

from stepscope.core import Finding, Findings, Related, Severity, Watch, rule
from stepscope.evidence.dead_parameters import cut_off
from stepscope.evidence.gradient_paths import Cut, CutKind, CutRole, GradientPaths
from stepscope.evidence.intent import Intent, matches
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters

_ENDED = {
    CutKind.DETACH: "its value enters the loss only after `{}` took its gradient away",
    CutKind.COLLECTIVE: "its value enters the loss only through `{}`, which has no gradient",
    CutKind.ESCAPE: "its value left torch through `{}`, and no other path leads to a loss",
}


@rule("GRD004", Severity.ERROR)
def cut_by_detach(
    paths: GradientPaths, parameters: Parameters, optimizers: Optimizers, intent: Intent | None
) -> Findings:
    moved = parameters.moved
    everything = tuple(each.name for each in parameters.parameters)
    frozen = intent.frozen if intent else ()
    followed = {n for c in paths.cuts if c.kind is not CutKind.ESCAPE for n in c.dead}
    for cut in paths.cuts:
        if cut.kind not in _ENDED:
            continue
        dead = [
            name
            for name in cut.dead
            if name not in moved
            and not optimizers.stands_still(name)
            and not matches(name, frozen)
            and not (cut.kind is CutKind.ESCAPE and name in followed)
        ]
        if not dead:
            continue
        found = cut_off(dead, everything, cut.at)
        yield Finding(
            subject=found.subject,
            message=f"gets no gradient: {_ENDED[cut.kind].format(cut.operation)}",
            measured=(
                f"{found.count} trainable parameters behind `{cut.operation}` that no"
                f" backward reaches; seen in {cut.steps} of the recorded steps; the value is"
                f" {_use(cut)}"
            ),
            expected="a path with gradient, or these parameters frozen",
            at=found.at,
            related=tuple(Related("enters the graph again", at) for at in cut.enters),
            severity=_severity(cut),
        )


def _use(cut: Cut) -> str:
    if cut.kind is CutKind.ESCAPE:
        return "not followed outside torch"
    return f"a {cut.role.value}" if cut.role is not CutRole.FEATURE else "fed to trained layers"


def _severity(cut: Cut) -> Severity:
    if cut.kind is CutKind.ESCAPE:
        return Severity.WARNING
    if cut.role is CutRole.FEATURE or cut.kind is CutKind.COLLECTIVE:
        return Severity.ERROR
    return Severity.NOTE


def fails_when_features_are_detached(_: Watch) -> None:
    import torch

    encoder, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD([*encoder.parameters(), *head.parameters()], lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        head(encoder(torch.randn(3, 4)).detach()).sum().backward()
        optimizer.step()


def fails_when_scores_pass_through_numpy(_: Watch) -> None:
    import torch

    class Model(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 4)
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            scores = self.gate(x).detach().numpy()
            result: torch.Tensor = self.head(torch.from_numpy(scores) * x)
            return result

    model = Model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(3, 4)).sum().backward()
        optimizer.step()


def fails_as_a_note_when_the_detached_value_weights_the_loss(_: Watch) -> None:
    import torch

    model, weigher = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*model.parameters(), *weigher.parameters()], lr=0.1)
    for _step in range(2):
        x = torch.randn(3, 4)
        optimizer.zero_grad()
        (weigher(x).sigmoid().detach() * model(x).square()).mean().backward()
        optimizer.step()


def passes_when_the_advantage_of_an_actor_is_detached(_: Watch) -> None:
    import torch
    from torch.nn.functional import log_softmax, mse_loss

    trunk = torch.nn.Linear(4, 4)
    actor, critic = torch.nn.Linear(4, 2), torch.nn.Linear(4, 1)
    parameters = [*trunk.parameters(), *actor.parameters(), *critic.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _step in range(2):
        features, returns = trunk(torch.randn(3, 4)), torch.randn(3)
        value = critic(features).squeeze(-1)
        chosen = log_softmax(actor(features), dim=-1)[:, 0]
        optimizer.zero_grad()
        loss = -(chosen * (returns - value.detach())).mean() + mse_loss(value, returns)
        loss.backward()
        optimizer.step()


def passes_when_a_loss_is_printed(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        loss = model(torch.randn(3, 4)).square().mean()
        loss.backward()
        optimizer.step()
        f"{loss.item():.3f} {loss.detach():.3f}"


def passes_when_the_part_is_declared_frozen(watch: Watch) -> None:
    fails_when_scores_pass_through_numpy(watch)
    watch.saw(Intent(frozen=("gate",)))
