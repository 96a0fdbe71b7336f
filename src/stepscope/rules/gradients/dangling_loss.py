"""A module hands out a loss that no backward ever reaches.

## What it proves
A module in training mode returned a differentiable number under a key that contains "loss", or
keeps one as such an attribute, and no backward of any recorded step reached it.

## Why it matters
Auxiliary losses (load balancing, regularisers, codebook losses) are computed where they arise and
must be collected by the training loop. Forgotten there, they cost their computation and do nothing.

## What to do
Add the number to the total, or compute it without gradient where it is only for the log.

## Limits
A warning where the name says what the number is for (auxiliary, balance, regularisation,
commitment, router, penalty) or the intent declares it. Otherwise a note: a program may hand a
number out for its log, or compute its own loss beside the one a model offers. A loss that is added
only later in training is not yet reached in the first steps: declare an ignore with that reason. A
loss without gradient is not looked at. Losses reached in some recorded step are not dangling.

## Sources
- https://arxiv.org/abs/2101.03961 section 2.2 (a load-balancing loss that every layer adds to the
  total)
"""

import re

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.intent import Intent
from stepscope.evidence.loss_terms import LossTerms

_AUXILIARY = re.compile("aux|balanc|regulari|commit|router|penalty", re.IGNORECASE)


@rule("GRD008", Severity.WARNING)
def dangling_loss(terms: LossTerms, intent: Intent | None) -> Findings:
    declared = intent.loss_names if intent is not None else ()
    for each in terms.dangling:
        yield Finding(
            subject=f"{each.name} of {each.module}" if each.module else each.name,
            message="is handed out with gradient, and no backward reaches it",
            measured=f"value {each.value:.4g}; reached by 0 backward calls",
            expected="part of a total, or computed without gradient",
            at=Place(
                module=each.module, file=each.at.file, line=each.at.line, function=each.at.function
            ),
            severity=None if _is_meant(each.name, declared) else Severity.NOTE,
        )


def _is_meant(name: str, declared: tuple[str, ...]) -> bool:
    return bool(_AUXILIARY.search(name)) or any(each.lower() in name.lower() for each in declared)


def fails_when_a_balancing_loss_is_forgotten(_: Watch) -> None:
    import torch

    class Router(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.gate(x)
            return {"logits": out, "balance_loss": out.softmax(-1).var()}

    model = Router()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = model(torch.randn(8, 4))
    result["logits"].square().mean().backward()
    optimizer.step()


def passes_when_it_is_added_to_the_total(_: Watch) -> None:
    import torch

    class Router(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.gate(x)
            return {"logits": out, "balance_loss": out.softmax(-1).var()}

    model = Router()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = model(torch.randn(8, 4))
    (result["logits"].square().mean() + 0.01 * result["balance_loss"]).backward()
    optimizer.step()


def passes_when_it_carries_no_gradient(_: Watch) -> None:
    import torch

    class Router(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.gate(x)
            return {"logits": out, "balance_loss": out.softmax(-1).var().detach()}

    model = Router()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = model(torch.randn(8, 4))
    result["logits"].square().mean().backward()
    optimizer.step()


def passes_when_it_is_added_in_every_second_step(_: Watch) -> None:
    import torch

    class Router(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.gate(x)
            return {"logits": out, "balance_loss": out.softmax(-1).var()}

    model = Router()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        result = model(torch.randn(8, 4))
        (result["logits"].square().mean() + step * result["balance_loss"]).backward()
        optimizer.step()


def fails_with_a_note_when_a_number_is_only_logged(_: Watch) -> None:
    import torch

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            each = self.head(x).square()
            return {"loss": each.mean(), "loss_largest": each.max()}

    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4))["loss"].backward()
    optimizer.step()


def fails_when_the_number_is_declared_as_a_loss(watch: Watch) -> None:
    import torch

    from stepscope.evidence.intent import Intent

    class Classifier(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            each = self.head(x).square()
            return {"loss": each.mean(), "loss_largest": each.max()}

    watch.saw(Intent(losses=("loss_largest",)))
    model = Classifier()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(8, 4))["loss"].backward()
    optimizer.step()


def fails_with_a_note_when_the_model_offers_a_loss_of_its_own(_: Watch) -> None:
    import torch

    class Router(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gate = torch.nn.Linear(4, 2)

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            out = self.gate(x)
            return {"logits": out, "loss": out.abs().mean()}

    model = Router()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    result = model(torch.randn(8, 4))
    result["logits"].square().mean().backward()
    optimizer.step()


def skips_when_no_backward_begins_on_a_number(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.randn(8, 4))
    out.backward(torch.ones_like(out))
    optimizer.step()
