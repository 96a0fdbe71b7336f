"""A term of the loss gives next to none of the gradient.

## What it proves
On a parameter that all terms of a total reach, and as measured in one recorded step, the named term
gives less than 0.0001 of the sum of the terms' gradient norms. A term that gives more than 99 % is
noted where no other falls below that.

## Why it matters
The term costs its computation and cannot steer training: four orders of magnitude are less than
the noise between two batches. The weight is usually off by a factor, or the term is averaged over
far more elements than the others.

## What to do
Compare the gradients, not the values, when choosing weights: a large value can have a small
gradient.

## Limits
Measured once, on one parameter: the nearest to the loss that all terms reach. A term may matter to
other parameters. Silent where the program gives the term no name, its weight is 0 or changes (a
warm-up), or its gradient is exactly 0 at that moment, as a student's distance to its own copy is
at the start. Not measured where a backward would run hooks, custom
functions or checkpoints a second time.

## Sources
- https://arxiv.org/abs/1711.02257 (balancing terms by gradient norms on the last shared layer)
- 0.0001: a router loss of weight 0.01, as published mixtures of experts use, lies near 0.01.
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.environment import Beginning
from stepscope.evidence.loss_terms import LossTerm, LossTerms


@rule("LOS006", Severity.WARNING)
def term_negligible(
    terms: LossTerms, _: Beginning, *, least: float = 1e-4, most: float = 0.99
) -> Findings:
    measured = [term for term in terms.terms if term.gradient_share is not None]
    if not measured:
        raise NotJudged("needs a total of two terms or more whose gradients could be told apart")
    small = [term for term in measured if _is_in_use(term) and 0 < _share(term) < least]
    for term in small:
        yield Finding(
            subject=term.name,
            message="gives next to none of the gradient",
            measured=_measured(term),
            expected=f"a share of at least {least:g}",
            at=term.at,
        )
    for term in measured:
        others = [each for each in measured if each is not term]
        if (
            _share(term) > most
            and not small
            and all(map(_is_in_use, measured))
            and any(map(_share, others))
        ):
            yield Finding(
                subject=term.name,
                message="gives nearly all of the gradient",
                measured=_measured(term),
                expected=f"a share of at most {most:g}, if the other terms are meant to matter",
                at=term.at,
                severity=Severity.NOTE,
            )


def _share(term: LossTerm) -> float:
    assert term.gradient_share is not None
    return term.gradient_share


def _is_in_use(term: LossTerm) -> bool:
    return bool(term.named_by_model and term.weight and any(term.values))


def _measured(term: LossTerm) -> str:
    weight = "" if term.weight is None else f"; weight {term.weight:g}"
    return f"share {_share(term):.2g} of the gradient norm on {term.share_on}{weight}"


def fails_when_a_term_has_a_share_of_0_00009(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task = out.mean()
    loss_aux = out.mean() * 1.0
    (loss_task + 9e-5 * loss_aux).backward()
    optimizer.step()


def passes_when_a_distance_to_its_own_copy_starts_at_zero(_: Watch) -> None:
    import copy

    import torch

    student = torch.nn.Linear(4, 1)
    teacher = copy.deepcopy(student).requires_grad_(requires_grad=False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _step in range(2):
        x = torch.randn(8, 4)
        out = student(x)
        loss_task = out.mean()
        loss_consistency = (out - teacher(x)).square().mean()
        optimizer.zero_grad()
        (loss_task + loss_consistency).backward()
        optimizer.step()


def fails_with_a_note_when_a_term_has_a_share_of_0_00011(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task = out.mean()
    loss_aux = out.mean() * 1.0
    (loss_task + 1.1e-4 * loss_aux).backward()
    optimizer.step()


def fails_with_a_note_when_a_term_has_a_share_of_0_992(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task, loss_aux = out.mean(), out.mean() * 1.0
    (loss_task + 0.008 * loss_aux).backward()
    optimizer.step()


def passes_when_a_term_has_a_share_of_0_988(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task, loss_aux = out.mean(), out.mean() * 1.0
    (loss_task + 0.012 * loss_aux).backward()
    optimizer.step()


def passes_when_the_weight_is_zero(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task = out.mean()
    loss_aux = out.mean() * 1.0
    (loss_task + out.square().mean() + 0.0 * loss_aux).backward()
    optimizer.step()


def passes_when_the_program_gives_the_term_no_name(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task = out.mean()

    (loss_task + 9e-5 * out.mean().square()).backward()
    optimizer.step()


def passes_when_the_value_is_zero(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task = out.mean()
    loss_aux = (out - 1e6).relu().mean()
    (loss_task + loss_aux).backward()
    optimizer.step()


def passes_when_the_weight_is_warmed_up(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(2):
        optimizer.zero_grad()
        out = model(torch.ones(8, 4))
        loss_task, loss_aux = out.mean(), out.square().mean()
        (loss_task + 1e-6 * (step + 1) * loss_aux).backward()
        optimizer.step()


def skips_when_there_is_one_term(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(8, 4)).mean().backward()
    optimizer.step()


def skips_when_a_backward_would_run_hooks_twice(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    out.register_hook(lambda gradient: gradient.clamp(-1, 1))
    loss_task, loss_aux = out.mean(), out.square().mean()
    (loss_task + 1e-6 * loss_aux).backward()
    optimizer.step()
