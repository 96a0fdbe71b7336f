"""A large constant multiplies the gradient of a surrogate, and not the value itself.

## What it proves
A value of the form `x + (y - x).detach()`, which is `y` forward and `x` backward, meets the
constant that is named. The derivative of the module around it was taken on a copy, along one
direction, with the inputs and the upstream gradient of a recorded step: reverse mode, which
training uses, is more than a thousand times larger than the change of the value, over a tiny step
and over one of a tenth of the inputs' size.

## Why it matters
Where the surrogate's value does not change, `(1 - mask) * 1e10` is 0 forward and multiplies the
gradient of the mask by 1e10 backward. The norm of all gradients is then that of this one path:
clipping shrinks the rest to nothing, `GradScaler` skips step after step.

## What to do
Mask with `masked_fill` on a boolean mask, which has no gradient to the mask; or multiply by the
surrogate without the constant.

## Limits
An ordinary straight-through estimator (rounding, vector quantisation, hard Gumbel-softmax), also
one whose value is scaled by the same constant, is left alone. Where the module cannot be run again
(under torch.distributed: where it takes part in collectives, or holds SyncBatchNorm or sharded
parameters) it is a note.

## Sources
- Bengio et al., "Estimating or propagating gradients through stochastic neurons" (2013),
  https://arxiv.org/abs/1308.3432
- A thousand: a surrogate's own mismatch stays near 1 (it is an identity or a softmax), and no
  schedule or normalisation has a factor as large
"""

from stepscope.core import Finding, Findings, Place, Related, Severity, Watch, rule
from stepscope.evidence.gradient_paths import Amplification, GradientPaths, Proof


@rule("GRD006", Severity.ERROR)
def amplified_gradient(paths: GradientPaths, *, factor: float = 1e3) -> Findings:
    for found in paths.amplifications:
        proof = found.proof
        if proof is None and not found.not_proved:
            continue
        if proof is not None and abs(proof.reverse) <= factor * _true_size(proof):
            continue
        surrogate = found.surrogate_at
        related = Related("the surrogate is made here", surrogate) if surrogate else None
        yield Finding(
            subject=f"`{found.operation}` by {found.constant:g} in {found.module or 'the model'}",
            message=(
                f"the gradient through a surrogate (straight-through) value is multiplied by"
                f" {found.constant:g}"
                + (", while the value itself hardly changes" if proof is not None else "")
            ),
            measured=(
                _measured(proof)
                if proof is not None
                else f"no derivative was taken: {found.not_proved}"
            ),
            expected=f"the two within a factor of {factor:g}",
            at=_place(found),
            related=(related,) if related is not None else (),
            severity=None if proof is not None else Severity.NOTE,
        )


def _true_size(proof: Proof) -> float:
    return max(abs(proof.difference), abs(proof.coarse), proof.error)


def _measured(proof: Proof) -> str:
    return (
        f"along one direction in {proof.module or 'the model'}: reverse {proof.reverse:.3g},"
        f" finite difference {proof.difference:.3g} ± {proof.error:.1g}, over a wide step"
        f" {proof.coarse:.3g}"
    )


def _place(found: Amplification) -> Place:
    at = found.at
    return Place(module=found.module, file=at.file, line=at.line, function=at.function)


def _select(large: float, scaled: float = 1.0) -> None:
    import torch

    class Selection(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.score = torch.nn.Linear(4, 1)
            self.head = torch.nn.Linear(4, 1)

        def forward(self, tokens: torch.Tensor) -> torch.Tensor:
            soft = torch.sigmoid(self.score(tokens)).squeeze(-1)
            kept = torch.topk(soft, 3).indices
            hard = torch.zeros_like(soft).scatter(-1, kept, 1.0)
            mask = hard + (soft - soft.detach())
            logits = tokens[kept].sum(-1) - (1 - mask[kept]) * large
            weights = torch.softmax(logits, dim=-1)
            result: torch.Tensor = self.head(weights @ tokens[kept] * mask.mean() * scaled)
            return result

    model = Selection()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-12)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(6, 4)).square().mean().backward()
        optimizer.step()


def fails_when_a_straight_through_mask_meets_a_huge_constant(_: Watch) -> None:
    _select(large=1e10)


def passes_when_the_mask_is_used_without_a_constant(_: Watch) -> None:
    _select(large=1.0)


def passes_when_rounded_values_are_scaled_by_the_constant(_: Watch) -> None:
    import torch

    class Rounded(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.depth = torch.nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            metres = self.depth(x) * 100
            whole = metres + (metres.round() - metres).detach()
            millimetres: torch.Tensor = whole * 1000
            return millimetres

    model = Rounded()
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-12)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(6, 4)).abs().mean().backward()
        optimizer.step()


def passes_with_a_factor_of_a_thousand(watch: Watch) -> None:
    watch.saw(_seen(reverse=1000.0))


def fails_above_a_factor_of_a_thousand(watch: Watch) -> None:
    watch.saw(_seen(reverse=1001.0))


def fails_as_a_note_without_a_proof(watch: Watch) -> None:
    watch.saw(_seen(reverse=None))


def _seen(reverse: float | None) -> GradientPaths:
    proof = (
        None
        if reverse is None
        else Proof(module="", reverse=reverse, forward=1.0, difference=1.0, error=0.0, coarse=1.0)
    )
    found = Amplification(
        constant=1e10,
        operation="mul",
        at=Place(file="model.py", line=3),
        module="",
        surrogate_at=None,
        proof=proof,
        not_proved="" if proof else "its forward takes part in collectives of several processes",
    )
    return GradientPaths(unreached=(), used=(), cuts=(), amplifications=(found,))
