"""The optimizer steps without a backward, or never steps at all.

## What it proves
Either no optimizer had a gradient at any recorded step, and no backward had reached the parameters
of any since its step before; or one optimizer never stepped while another took many steps, though
its parameters received gradients all the time and nothing else moved them; or a run came to its end
with many backwards, and no step of any of its optimizers.

## Why it matters
A step without gradients moves nothing (weight decay and momentum apart). An optimizer that never
steps leaves its part of the model at its initial values, while the other part learns around it.

## What to do
Call `loss.backward()` before `optimizer.step()`, on a loss that depends on the optimizer's
parameters. Step every optimizer whose part is to be trained.

## Limits
Needs two steps. Where another optimizer is fed, an optimizer without gradients may be waiting for
its turn. Gradients that the program sets by hand are gradients. An optimizer that never steps is
reported only after 12 steps of another: WGAN's generator waits for 5 of its critic's. It is a
warning, because its turn may come later; in a run that is watched to its end, it is reported there.
A step that `GradScaler` leaves out is none (NUM002).

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#taking-an-optimization-step
- Arjovsky et al., "Wasserstein GAN", ICML 2017, algorithm 1 (n_critic = 5)
"""

from collections.abc import Iterable

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.optimizer_uses import OptimizersMade, OptimizerUses
from stepscope.evidence.course.scaler import ScalerCurves
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters

FEWEST = 2  # a single step may be there to initialise the state


@rule("OPT006", Severity.ERROR)
def step_without_backward(
    optimizers: Optimizers | None,
    gradients: Gradients | None,
    parameters: Parameters | None,
    made: OptimizersMade | None,
    uses: OptimizerUses | None,
    endings: Endings | None,
    scaler: ScalerCurves | None,
    *,
    patience: int = 12,
) -> Findings:
    idle = []
    if made is not None and uses is not None and endings is not None and endings.steps is not None:
        idle = list(_idle(made, uses, patience)) if scaler is None else []
        yield from idle
    if optimizers is not None and len(optimizers.steps) >= FEWEST:
        if not idle:
            yield from _in_a_window(optimizers, gradients, parameters, patience)
    elif not idle:
        raise NotJudged("needs two optimizer steps")


def _idle(made: OptimizersMade, uses: OptimizerUses, patience: int) -> Iterable[Finding]:
    """Find the optimizers that never stepped in a run that has come to its end."""
    steps = {each.number: uses.latest(f"{each.number}.steps") for _, each in made.seen}
    most, backwards = max(steps.values()), uses.latest("backwards")
    if not most and backwards >= patience:
        yield Finding(
            subject=", ".join(each.kind for _, each in made.seen[:3]),
            message="never steps, though backward is called",
            measured=f"{backwards} backward calls in the run; 0 optimizer steps",
            expected="`optimizer.step()` after `loss.backward()`",
            at=made.seen[0][1].at,
            severity=Severity.WARNING,
        )
    for _, each in made.seen if most >= patience else ():
        number = each.number
        own, fed = uses.latest(f"{number}.parameters"), uses.series.get(f"{number}.fed")
        if steps[number] or not own or fed is None or min(fed.values) == 0:
            continue
        yield Finding(
            subject=each.kind,
            message="never steps, though its parameters receive gradients",
            measured=f"0 steps in a run in which another optimizer took {most}; gradients for "
            f"{min(fed.values):.0f} of its {own} parameters at every sampled step",
            expected="a step of its own, or requires_grad=False",
            at=each.at,
            severity=Severity.WARNING,
        )


def _in_a_window(
    optimizers: Optimizers,
    gradients: Gradients | None,
    parameters: Parameters | None,
    patience: int,
) -> Iterable[Finding]:
    steps = optimizers.steps
    if not any(step.backwards or step.gradients_nonzero for step in steps):
        for index in dict.fromkeys(step.optimizer for step in steps):
            own = [step for step in steps if step.optimizer == index]
            yield Finding(
                subject=optimizers.optimizers[index].kind,
                message="takes steps that no backward feeds",
                measured=f"{len(own)} steps; 0 backward calls that reach its parameters; "
                f"{own[-1].gradients_present} gradients, none other than 0",
                expected="a backward before each step",
                at=own[0].at,
            )
        return
    most = max(optimizer.stepped for optimizer in optimizers.optimizers)
    moved = {p.name for p in parameters.parameters if p.ever_changed} if parameters else set()
    for index, optimizer in enumerate(optimizers.optimizers):
        names = {n for g in optimizers.groups if g.optimizer == index for n in g.parameters}
        fed = [g for g in gradients.gradients if g.parameter in names] if gradients else []
        always = [g for g in fed if all(g.reached) and g.ever_nonzero]
        if optimizer.stepped or optimizer.skipped_by_scaler or most < patience:
            continue
        if always and not moved & names and not _held_elsewhere(optimizers, index, names):
            yield Finding(
                subject=optimizer.kind,
                message="never steps, though its parameters receive gradients",
                measured=f"0 steps, while another optimizer took {most}; gradients for "
                f"{len(always)} of its {len(names)} parameters at every step",
                expected="a step of its own, or requires_grad=False",
                at=optimizer.made_at,
                severity=Severity.WARNING,
            )


def _held_elsewhere(optimizers: Optimizers, index: int, names: set[str]) -> bool:
    others = (
        name
        for group in optimizers.groups
        if group.optimizer != index and optimizers.optimizers[group.optimizer].stepped
        for name in group.parameters
    )
    return not names.isdisjoint(others)


def fails_when_the_backward_is_forgotten(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum()
        optimizer.step()


def fails_when_one_of_two_optimizers_never_steps(_: Watch) -> None:
    import torch

    encoder, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    for_encoder = torch.optim.SGD(encoder.parameters(), lr=0.01)
    for_head = torch.optim.SGD(head.parameters(), lr=0.01)
    for _step in range(12):
        for_encoder.zero_grad()
        for_head.zero_grad()
        head(encoder(torch.ones(3, 4))).sum().backward()
        for_head.step()


def fails_when_no_optimizer_of_a_run_steps(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _batch in range(12):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()


def skips_eleven_backwards_without_a_step(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _batch in range(11):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()


def skips_when_a_scaler_leaves_out_all_steps(_: Watch) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=0.1)
    scaler = torch.amp.GradScaler("cpu")
    for _batch in range(12):
        optimizer.zero_grad()
        scaler.scale((weight * float("inf")).sum()).backward()
        scaler.step(optimizer)
        scaler.update()


def passes_when_its_turn_may_still_come(_: Watch) -> None:
    import torch

    encoder, head = torch.nn.Linear(4, 4), torch.nn.Linear(4, 2)
    for_encoder = torch.optim.SGD(encoder.parameters(), lr=0.01)
    for_head = torch.optim.SGD(head.parameters(), lr=0.01)
    for _step in range(11):
        for_encoder.zero_grad()
        for_head.zero_grad()
        head(encoder(torch.ones(3, 4))).sum().backward()
        for_head.step()


def passes_when_one_optimizer_waits_without_gradients(_: Watch) -> None:
    import torch

    first, second = torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)
    for_first = torch.optim.SGD(first.parameters(), lr=0.1)
    for_second = torch.optim.SGD(second.parameters(), lr=0.1)
    for _step in range(2):
        first.zero_grad()
        first(torch.ones(3, 4)).sum().backward()
        for_first.step()
        for_second.step()


def passes_when_the_gradients_are_set_by_hand(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()


def passes_when_the_backward_runs_in_a_closure(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.LBFGS(model.parameters())

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss: torch.Tensor = model(torch.ones(3, 4)).square().sum()
        loss.backward()
        return loss

    for _step in range(2):
        optimizer.step(closure)


def passes_when_a_second_optimizer_finishes_what_the_first_begins(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    first = torch.optim.Adam(model.parameters())
    torch.optim.LBFGS(model.parameters())  # for the end of the training
    for _step in range(12):
        first.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        first.step()


def skips_a_single_step(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum()
    optimizer.step()
