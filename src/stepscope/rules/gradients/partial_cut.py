"""The gradient of one value is lost under `no_grad`, while its parameters keep another path.

## What it proves
The derivative of one module was taken along a random direction in three ways, on a copy, with the
inputs and the upstream gradient of a recorded step. Forward mode, which passes through `no_grad`,
and a finite difference agree: so the value does change the output. Reverse mode, which training
uses, differs from them by the share that is given: that part of the gradient is lost.

## Why it matters
The value (an attention score, a gate) is never told how it should change. Its parameters still
learn through the other path, so no gradient is missing from any table.

## What to do
Move the operation out of the region that is named; or, if the value is meant as a constant, use
`detach()` on it, which says so. How much it matters for the result is for an experiment to tell.

## Limits
It says nothing about the parameters as a whole: they do get a gradient. Without a proof (the
module cannot be run again, or an operation has no forward formula) it is a note. A trained layer
that is applied under `no_grad` and again with gradient, as in self-conditioning or recycling, is
a note as well: that is how these methods work.

## Sources
- https://docs.pytorch.org/docs/stable/autograd.html#forward-mode-automatic-differentiation
- Bridges of reverse to forward mode: Baydin et al., "Automatic differentiation in machine
  learning: a survey", JMLR 18 (2018), section 3
"""

from stepscope.core import Finding, Findings, Place, Related, Severity, Watch, rule
from stepscope.evidence.gradient_paths import Cut, CutKind, CutRole, GradientPaths, Proof


@rule("GRD003", Severity.WARNING)
def partial_cut(paths: GradientPaths, *, share: float = 0.01) -> Findings:
    for cut in paths.cuts:
        if cut.kind is not CutKind.NO_GRAD or cut.role is not CutRole.FEATURE or cut.dead:
            continue
        proof = cut.proof
        if proof is not None and proof.is_sure and proof.share_lost <= share:
            continue
        sure = proof is not None and proof.is_sure
        yield Finding(
            subject=f"`{cut.operation}` in {cut.module or 'the model'}{_others(cut)}",
            message=(
                f"the value computed under no_grad{_where(cut)}, from `{cut.operation}` on, gets no"
                " gradient, though it enters the loss again; the parameters it depends on keep"
                " another path"
            ),
            measured=_measured(proof, cut.not_proved),
            expected="the three derivatives equal, or `detach()` where a constant is meant",
            at=_place(cut),
            related=(
                Related("first operation without gradient", cut.at),
                *(Related("enters the graph again", at) for at in cut.enters),
            ),
            severity=None if sure and not cut.inside else Severity.NOTE,
        )


def _others(cut: Cut) -> str:
    others = cut.modules - 1
    return f" and {others} other module{'s' * (others > 1)}" if others else ""


def _where(cut: Cut) -> str:
    function = (cut.region or cut.at).function
    return f" in `{function}`" if function else ""


def _measured(proof: Proof | None, reason: str) -> str:
    if proof is None:
        return f"no derivative was taken: {reason}"
    forward = "none" if proof.forward is None else f"{proof.forward:.5g}"
    numbers = (
        f"along one direction in {proof.module or 'the model'}: reverse {proof.reverse:.5g},"
        f" forward {forward}, finite difference {proof.difference:.5g} ± {proof.error:.1g}"
    )
    if not proof.is_sure:
        return f"{numbers}; forward mode and difference do not confirm each other"
    return f"{numbers}; {100 * proof.share_lost:.3g} % of the change is lost"


def _place(cut: Cut) -> Place:
    at = cut.region or cut.at
    return Place(module=cut.module, file=at.file, line=at.line, function=at.function)


def fails_when_the_score_is_computed_under_no_grad(_: Watch) -> None:
    import torch

    class Attention(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = torch.nn.Linear(4, 4)
            self.head = torch.nn.Linear(4, 1)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            features = self.embed(tokens)
            with torch.no_grad():
                scores = torch.softmax(features @ features.T, dim=-1)
            result: torch.Tensor = self.head(scores @ features)
            return result

    model = Attention()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()


def passes_when_the_score_has_its_gradient(_: Watch) -> None:
    import torch

    embed, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD([*embed.parameters(), *head.parameters()], lr=0.01)
    for _step in range(2):
        features = embed(torch.randn(5, 4))
        scores = torch.softmax(features @ features.T, dim=-1)
        optimizer.zero_grad()
        head(scores @ features).square().mean().backward()
        optimizer.step()


def passes_when_the_loss_is_weighted_by_its_own_size(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _step in range(2):
        error = model(torch.randn(5, 4)).square()
        with torch.no_grad():
            weight = 1 / (1 + error)
        optimizer.zero_grad()
        (weight * error).mean().backward()
        optimizer.step()


def passes_when_one_percent_is_lost(watch: Watch) -> None:
    watch.saw(_seen(reverse=0.9901))


def fails_when_more_than_one_percent_is_lost(watch: Watch) -> None:
    watch.saw(_seen(reverse=0.9899))


def fails_as_a_note_without_a_proof(watch: Watch) -> None:
    watch.saw(_seen(reverse=None))


def fails_as_a_note_when_a_model_is_conditioned_on_its_own_output(_: Watch) -> None:
    import torch

    class Denoiser(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(8, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                estimate = self.layer(torch.cat([x, torch.zeros_like(x)], dim=-1))
            result: torch.Tensor = self.layer(torch.cat([x, estimate], dim=-1))
            return result

    model = Denoiser()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()


def _seen(reverse: float | None) -> GradientPaths:
    proof = (
        None
        if reverse is None
        else Proof(module="gate", reverse=reverse, forward=1.0, difference=1.0, error=0.0)
    )
    cut = Cut(
        kind=CutKind.NO_GRAD,
        role=CutRole.FEATURE,
        operation="softmax",
        at=Place(file="model.py", line=7),
        region=Place(file="model.py", line=6),
        enters=(Place(file="model.py", line=8),),
        module="gate",
        feeds_from=("embed.weight",),
        dead=(),
        steps=3,
        proof=proof,
        not_proved="" if proof else "the module cannot be run again",
    )
    return GradientPaths(unreached=(), used=(), cuts=(cut,))
