"""A term of the loss gives next to none of the gradient.

## What it proves
On a parameter that all terms of a total reach, and as measured in one recorded step, the named term
gives less than 0.0001 of the sum of the terms' gradient norms. In a run that is watched: in one
step of each close look, from the first steps on. A term that gives more than 99 % is noted where no
other falls below that.

## Why it matters
The term costs its computation and cannot steer training: four orders of magnitude are less than
the noise between two batches. The weight is usually off by a factor, or the term is averaged over
far more elements than the others.

## What to do
Compare the gradients, not the values, when choosing weights: a large value can have a small
gradient.

## Limits
Measured once in a look, on one parameter: the nearest to the loss that all terms reach. A term may
matter to other parameters. A run that is watched is judged when it was looked at twice, has come to
its own end, or has taken 500 steps; a term that mattered at one look is left alone, as a weight may
be warmed up, and a term that is solved has no gradient any more. Silent where the program gives the
term no name, its weight is 0 or changes (a warm-up), or its gradient is exactly 0 at that moment,
as a student's distance to its own copy is at the start. Not measured where a backward would run
hooks, custom functions or checkpoints a second time.

## Sources
- https://arxiv.org/abs/1711.02257 (balancing terms by gradient norms on the last shared layer)
- 0.0001: a router loss of weight 0.01, as published mixtures of experts use, lies near 0.01.
"""

from collections.abc import Iterable, Sequence

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.term_looks import TermLooks
from stepscope.evidence.environment import Beginning
from stepscope.evidence.loss_terms import LossTerm, LossTerms

Look = tuple[int, Sequence[LossTerm]]


@rule("LOS006", Severity.WARNING)
def term_negligible(
    terms: LossTerms,
    beginning: Beginning | None,
    progress: Progress | None,
    endings: Endings | None,
    later: TermLooks | None,
    *,
    least: float = 1e-4,
    most: float = 0.99,
    settled: int = 500,
) -> Findings:
    looks = _looks(terms, beginning, later)
    has_ended = endings is not None and endings.steps is not None
    goes_on = progress is not None and progress.step < settled and not has_ended
    if len(looks) == 1 and goes_on:
        raise NotJudged(f"one look; needs another, the end of the run, or {settled} steps")
    small = [_negligible(measured, least) for _, measured in looks]
    large = [_dominating(measured, least, most) for _, measured in looks]
    for term in small[0]:
        if all(term.name in _named(each) for each in small):
            yield Finding(
                subject=term.name,
                message="gives next to none of the gradient",
                measured=_measured(term, looks),
                expected=f"a share of at least {least:g}",
                at=term.at,
            )
    for term in large[0]:
        if all(term.name in _named(each) for each in large):
            yield Finding(
                subject=term.name,
                message="gives nearly all of the gradient",
                measured=_measured(term, looks),
                expected=f"a share of at most {most:g}, if the other terms are meant to matter",
                at=term.at,
                severity=Severity.NOTE,
            )


def _looks(terms: LossTerms, beginning: Beginning | None, later: TermLooks | None) -> list[Look]:
    """Return the step and the measured terms of each look, the first steps of the run first."""
    if later is not None and later.seen[0][1].is_beginning:
        return [(step, each.terms) for step, each in later.seen]
    if beginning is None:
        raise NotJudged(f"needs {Beginning.obtained_by}")
    measured = tuple(term for term in terms.terms if term.gradient_share is not None)
    if not measured:
        raise NotJudged("needs a total of two terms or more whose gradients could be told apart")
    return [(0, measured)]


def _negligible(measured: Sequence[LossTerm], least: float) -> list[LossTerm]:
    return [term for term in measured if _is_in_use(term) and 0 < _share(term) < least]


def _dominating(measured: Sequence[LossTerm], least: float, most: float) -> list[LossTerm]:
    if _negligible(measured, least) or not all(map(_is_in_use, measured)):
        return []
    return [
        term
        for term in measured
        if _share(term) > most and any(_share(each) for each in measured if each is not term)
    ]


def _named(terms: Iterable[LossTerm]) -> set[str]:
    return {term.name for term in terms}


def _share(term: LossTerm) -> float:
    assert term.gradient_share is not None
    return term.gradient_share


def _is_in_use(term: LossTerm) -> bool:
    return bool(term.named_by_model and term.weight and any(term.values))


def _measured(term: LossTerm, looks: Sequence[Look]) -> str:
    weight = "" if term.weight is None else f"; weight {term.weight:g}"
    shares = [_share(each) for _, terms in looks for each in terms if each.name == term.name]
    others = f", and {min(shares):.2g} to {max(shares):.2g} at {len(shares)} looks up to step"
    more = f"{others} {looks[-1][0]}" if looks[1:] else ""
    return f"share {_share(term):.2g} of the gradient norm on {term.share_on}{weight}{more}"


def fails_when_a_term_has_a_share_of_0_00009(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    out = model(torch.ones(8, 4))
    loss_task = out.mean()
    loss_aux = out.mean() * 1.0
    (loss_task + 9e-5 * loss_aux).backward()
    optimizer.step()


def _looked_at(*shares: float, steps: int = 60) -> tuple[LossTerms, TermLooks, Progress, Endings]:
    from stepscope.evidence.course.endings import RunEnded
    from stepscope.evidence.course.term_looks import TermsLooked

    def terms(share: float) -> tuple[LossTerm, ...]:
        named = {"loss_task": 1 - share, "loss_aux": share}
        return tuple(
            LossTerm(
                name=name, named_by_model=True, weight=1.0, values=(1.0,), differentiable=True,
                gradient_share=each, share_on="head.weight",
            )
            for name, each in named.items()
        )  # fmt: skip

    seen = tuple(
        (20 * at, TermsLooked(terms=terms(share), is_beginning=not at))
        for at, share in enumerate(shares)
    )
    return (
        LossTerms(terms=terms(shares[-1])),
        TermLooks(seen=seen, count=len(seen)),
        Progress(first=0, step=steps, sampled=9, seconds=1.0),
        Endings(seen=((steps, RunEnded(finished=False)),), count=1),
    )


def fails_when_the_share_is_below_0_0001_at_each_look(watch: Watch) -> None:
    watch.saw(*_looked_at(9e-5, 1e-5, 9e-5))


def passes_when_the_share_is_0_00011_at_one_look(watch: Watch) -> None:
    watch.saw(*_looked_at(9e-5, 1.1e-4, 9e-5))


def fails_when_one_look_is_500_steps_old(watch: Watch) -> None:
    watch.saw(*_looked_at(9e-5, steps=500))


def skips_when_one_look_is_499_steps_old(watch: Watch) -> None:
    watch.saw(*_looked_at(9e-5, steps=499))


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
