"""A term that parameters feed is added to the total as a constant, so it trains nothing.

## What it proves
A summand of a total that a backward began on has no gradient: it was computed under `no_grad`,
detached, or turned into a Python number. Its value was computed from parameters that the optimizer
holds.

## Why it matters
The total includes the term, and falls or rises with it; its gradient is exactly zero. The curve of
the total then shows a quantity that nothing is pushing.

## What to do
Keep the tensor: no `.item()`, `float()`, `.data` or `.detach()` before the sum. Where the number is
meant for the log, add it up in a second variable.

## Limits
Sums on which no backward begins (running averages for the log) are left alone, as are constants
that no trainable parameter feeds (a teacher's entropy, a fixed offset) and a detached term that
stands beside itself (`x - x.detach()`). A Python number is matched
with the value it came from by its digits, up to a short decimal factor; round numbers are not
matched.

## Sources
-
  https://docs.pytorch.org/docs/stable/notes/faq.html#my-model-reports-cuda-runtime-error-2-out-of-memory
  (why sums for the log take `.item()`)
"""

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.loss_terms import LossTerm, LossTerms


@rule("GRD007", Severity.WARNING)
def constant_loss_term(terms: LossTerms) -> Findings:
    alive = {(term.name, term.at) for term in terms.terms if term.differentiable}
    for term in terms.terms:
        if term.differentiable or not term.feeds_from or (term.name, term.at) in alive:
            continue
        yield Finding(
            subject=term.name,
            message="is added to the total as a constant; no gradient flows from it",
            measured=_measured(term),
            expected="a term with gradient, or none in the total",
            at=term.at,
        )


def _measured(term: LossTerm) -> str:
    value = next((value for value in term.values if value is not None), None)
    weight = "" if term.weight is None else f"weight {term.weight:g}; "
    read = "" if value is None else f"value {value:.4g}; "
    first, count = term.feeds_from[0], len(term.feeds_from)
    more = f" and {count - 1} more" if count > 1 else ""
    return f"{weight}{read}computed from {first}{more}"


def fails_when_a_term_is_turned_into_a_number(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss = out.square().mean()
    penalty = out.abs().mean().item()
    loss = loss + 0.1 * penalty
    loss.backward()
    optimizer.step()


def fails_when_a_term_is_computed_without_gradient(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss = out.square().mean()
    with torch.no_grad():
        penalty = out.abs().mean()
    loss = loss + 0.1 * penalty
    loss.backward()
    optimizer.step()


def fails_when_a_term_is_detached(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss = out.square().mean()
    loss = loss + out.abs().mean().detach()
    loss.backward()
    optimizer.step()


def passes_when_the_term_keeps_its_gradient(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss = out.square().mean()
    loss = loss + 0.1 * out.abs().mean()
    loss.backward()
    optimizer.step()


def passes_when_the_detached_term_stands_beside_itself(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss = out.square().mean()
    surrogate = out.abs().mean()
    loss = loss + surrogate - surrogate.detach()
    loss.backward()
    optimizer.step()


def passes_when_the_sum_is_only_logged(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss = out.square().mean()
    running = 0.0
    running += loss.item() + out.abs().mean().item()
    loss.backward()
    optimizer.step()


def passes_when_no_trainable_parameter_feeds_the_constant(_: Watch) -> None:
    import torch

    model, teacher = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2).requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    x = torch.randn(8, 4)
    loss = model(x).square().mean() - teacher(x).square().mean() + 0.25
    loss.backward()
    optimizer.step()


def passes_when_the_number_is_round(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    margin = (0.0 * out.mean()).item() + 0.5
    (out.square().mean() + margin).backward()
    optimizer.step()


def skips_when_no_backward_begins_on_a_number(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    out.backward(torch.ones_like(out))
    optimizer.step()
