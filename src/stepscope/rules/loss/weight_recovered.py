"""The terms and weights that make up the total, read from the graph, beside those declared.

## What it proves
The total on which a backward began is the weighted sum shown. Weights are the factors that stand
between a term and the total; a division by the number of accumulated batches and the factor of a
`GradScaler` are left out. A declared weight that differs by more than 1 % gives a warning.

A term that one total adds up several times, as it does where a dictionary of losses holds
their sum too and all of it is summed, has the sum of these weights.

## Why it matters
A weight in a configuration file is a wish. A default that shadows it, a second multiplication, or
a mean over terms changes the total without changing the file.

## What to do
Compare the two columns. Where they differ, follow the term from its line to the backward.

## Limits
A factor that changes between the recorded steps, or that itself carries gradient, is no weight and
is shown as "varies". A note is given only for a total of two terms or more that all have a name in
the program (a key, an attribute, a variable), or against declared weights.

## Sources
- 1 %: a weight is written in one to three digits; float32 rounding is below 0.0001 %.
"""

from collections.abc import Iterable, Iterator

import msgspec

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.intent import Intent
from stepscope.evidence.loss_terms import LossTerm, LossTerms


@rule("LOS010", Severity.NOTE)
def weight_recovered(terms: LossTerms, intent: Intent | None, *, within: float = 0.01) -> Findings:
    if not terms.terms:
        raise NotJudged("needs a backward on a single number")
    joined = tuple(_joined(terms.terms))
    declared = intent.loss_weights if intent is not None else {}
    differing = []
    for name, wanted in declared.items():
        term = next((term for term in joined if _plain(term.name) == _plain(name)), None)
        if (
            term is not None
            and term.weight is not None
            and abs(term.weight - wanted) > within * abs(wanted)
        ):
            differing.append(term)
            yield Finding(
                subject=term.name,
                message="enters the total with another weight than declared",
                measured=f"weight {term.weight:g}",
                expected=f"weight {wanted:g}, as declared",
                at=term.at,
                severity=Severity.WARNING,
            )
    if differing:
        return
    for at in dict.fromkeys(term.total for term in joined):
        parts = [term for term in joined if term.total == at][:12]
        named = [term for term in parts if term.named_by_model]
        if (len(parts) > 1 and named == parts) or (declared and named):
            yield Finding(
                subject="total loss",
                message="is made of " + " + ".join(_said(term) for term in parts),
                measured="; ".join(_value(term) for term in parts),
                expected=", ".join(f"{name} x {weight:g}" for name, weight in declared.items())
                or "no weights are declared",
                at=at,
            )


def _joined(terms: Iterable[LossTerm]) -> Iterator[LossTerm]:
    """Yield each number once, with all its weight in a total; zeros cannot be told apart."""
    alike: dict[object, LossTerm] = {}
    for place, term in enumerate(terms):
        values = term.values if any(term.values) else place
        key = (term.name, term.at, term.total, term.differentiable, values)
        known = alike.get(key)
        if known is None or known.weight is None or term.weight is None:
            alike[key] = term
        else:
            alike[key] = msgspec.structs.replace(known, weight=known.weight + term.weight)
    yield from alike.values()


def _said(term: LossTerm) -> str:
    weight = "(varies)" if term.weight is None else f"{term.weight:g}"
    return f"{weight} x {term.name}" + ("" if term.differentiable else " (constant)")


def _value(term: LossTerm) -> str:
    first = next((value for value in term.values if value is not None), None)
    return f"{term.name} = " + ("not read" if first is None else f"{first:.4g}")


def _plain(name: str) -> str:
    return "_".join(word for word in name.lower().split("_") if word not in ("loss", "losses"))


def fails_with_a_note_that_lists_terms_and_weights(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss_cls, loss_box = out.square().mean(), out.abs().mean()
    (loss_cls + 0.5 * loss_box).backward()
    optimizer.step()


def fails_when_the_weight_is_two_percent_off(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses={"cls": 1.0, "box": 0.51}))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss_cls, loss_box = out.square().mean(), out.abs().mean()
    (loss_cls + 0.5 * loss_box).backward()
    optimizer.step()


def fails_with_a_note_only_when_the_weight_is_half_a_percent_off(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses={"cls": 1.0, "box": 0.5025}))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss_cls, loss_box = out.square().mean(), out.abs().mean()
    (loss_cls + 0.5 * loss_box).backward()
    optimizer.step()


def fails_with_a_warning_when_a_term_is_in_the_total_twice(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses={"cls": 1.0, "box": 0.5}))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    losses = {"loss_cls": out.square().mean(), "loss_box": 0.5 * out.abs().mean()}
    losses["loss_total"] = losses["loss_cls"] + losses["loss_box"]
    (losses["loss_cls"] + losses["loss_box"] + losses["loss_total"]).backward()
    optimizer.step()


def fails_with_a_note_only_when_two_terms_of_one_line_are_both_zero(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    watch.saw(Intent(losses={"cls": 1.0}))
    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    total = torch.zeros(())
    for out in model(torch.randn(8, 4)).unbind(1):
        loss_cls = (out - 1e6).relu().mean()
        total = total + loss_cls
    total.backward()
    optimizer.step()


def passes_when_there_is_one_term(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    loss_cls = out.square().mean()
    loss_cls.backward()
    optimizer.step()


def passes_when_the_program_has_no_names_for_the_terms(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    (out.square().mean() + 0.5 * out.abs().mean()).backward()
    optimizer.step()


def skips_when_the_root_is_no_single_number(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    out.backward(torch.ones_like(out))
    optimizer.step()
