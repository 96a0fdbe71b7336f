"""A parameter has a learning rate and a gradient, and none of its bits ever changes.

## What it proves
At every recorded step the parameter required a gradient, an optimizer that stepped held it with
an lr above 0, and its gradient was finite and not zero; its bits are the same throughout. The
smallest update that this optimizer could make is larger than the coarsest spacing of numbers in
the parameter, so that rounding does not explain it. Over a run: the same at five looks, between
each two of which it was due an update, while another parameter of its optimizer moved.

## Why it matters
The optimizer says that it trains the parameter, and something undoes or withholds the update: a
`step` that was overridden, a hook that writes the old values back, weights that are copied from
elsewhere every step.

## What to do
Look at hooks on the optimizer, at custom optimizers, and at code that writes into the model
after `step`.

## Limits
Updates below the spacing of the dtype are OPT007. Optimizers that are not part of torch may
collect several steps before they update: they are judged only where they moved another
parameter. Optimizers whose steps a `GradScaler` skipped are left alone. For Adam and its kin the
update is taken as a tenth of lr, and the gradient must reach 1e-4.

## Sources
- Kingma and Ba, "Adam" (ICLR 2015), section 2.1: the step size is bounded by about lr, and near
  it at the first steps; the tenth and the 1e-4 leave room for a resumed state and a large epsilon
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.unmoved import NeverMoved
from stepscope.evidence.environment import Beginning
from stepscope.evidence.gradients import Gradient, Gradients
from stepscope.evidence.optimizers import Group, Optimizer, Optimizers
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import subtrees

INFINITY = float("inf")
UPDATES_EVERY_STEP = frozenset(
    {"Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "SGD"}
)


@rule("FRZ007", Severity.ERROR)
def trainable_never_moves(
    parameters: Parameters,
    optimizers: Optimizers,
    gradients: Gradients,
    beginning: Beginning | None,
    unmoved: NeverMoved | None,
    *,
    share_of_lr: float = 0.1,
    smallest_gradient: float = 1e-4,
) -> Findings:
    if beginning is None and unmoved is None:
        raise NotJudged(f"needs {Beginning.obtained_by}")
    told: set[str] = set()
    if beginning is not None:
        found = _in_windows(parameters, optimizers, gradients, share_of_lr, smallest_gradient)
        for index, updates in found.items():
            told.update(updates)
            own = [each for each in parameters.parameters if each.name in updates]
            steps = min(len(each.after) for each in own)
            coarsest = {each.name: each.coarsest for each in own}
            made = optimizers.optimizers[index]
            span = f"{steps} steps"
            yield from _findings(made, parameters, updates, coarsest, span, made.made_at)
    for _, stuck in unmoved.seen if unmoved is not None else ():
        due: dict[int, dict[str, float]] = {}
        for each in stuck.parameters:
            groups = optimizers.groups_of(each.name) if each.name not in told else ()
            if len(groups) == 1:
                place = groups[0].optimizer
                update = each.lr * each.gradient
                if optimizers.optimizers[place].adaptive:
                    update = share_of_lr * each.lr if each.gradient >= smallest_gradient else 0.0
                if update > each.coarsest:
                    due.setdefault(place, {})[each.name] = update
        coarsest = {each.name: each.coarsest for each in stuck.parameters}
        span = f"the steps {stuck.since} to {stuck.until}"
        for place, updates in due.items():
            made = optimizers.optimizers[place]  # seen in the last window, or in its making
            yield from _findings(made, parameters, updates, coarsest, span, Place())


def _in_windows(
    parameters: Parameters,
    optimizers: Optimizers,
    gradients: Gradients,
    share_of_lr: float,
    smallest_gradient: float,
) -> dict[int, dict[str, float]]:
    """Return what stands still in the recorded steps, with the update that was due."""
    changed = {each.name for each in parameters.parameters if each.ever_changed}
    moving = {g.optimizer for g in optimizers.groups if not changed.isdisjoint(g.parameters)}
    stuck: dict[int, dict[str, float]] = {}
    for parameter in parameters.parameters:
        if parameter.ever_changed or not parameter.trainable or not parameter.after:
            continue
        groups = optimizers.groups_of(parameter.name)
        gradient = gradients.of(parameter.name)
        if len(groups) != 1 or gradient is None or not _steps(groups[0], optimizers, moving):
            continue
        (group,) = groups
        largest = _smallest_peak(gradient, group, optimizers)
        if optimizers.optimizers[group.optimizer].adaptive:
            update = share_of_lr * min(group.lrs) if largest >= smallest_gradient else 0.0
        else:
            update = min(group.lrs) * largest
        if update > parameter.coarsest:
            stuck.setdefault(group.optimizer, {})[parameter.name] = update
    return stuck


def _findings(
    made: Optimizer,
    parameters: Parameters,
    updates: dict[str, float],
    coarsest: dict[str, float],
    span: str,
    made_at: Place,
) -> Findings:
    for tree in subtrees(updates, (each.name for each in parameters.parameters)):
        yield Finding(
            subject=tree.subject,
            message="has a learning rate and a gradient, but never changes",
            measured=(
                f"bits unchanged over {span} of {made.kind};"
                f" updates of {min(updates[name] for name in tree.members):.3g} or more were due,"
                f" and its numbers lie at most"
                f" {max(coarsest[name] for name in tree.members):.3g} apart"
            ),
            expected="changed bits after every step",
            at=Place(
                parameter=tree.place.parameter,
                module=tree.place.module,
                file=made_at.file,
                line=made_at.line,
                function=made_at.function,
            ),
        )


def _steps(group: Group, optimizers: Optimizers, moving: set[int]) -> bool:
    """Tell whether each of its steps must have updated what it holds."""
    made = optimizers.optimizers[group.optimizer]
    is_certain = made.kind in UPDATES_EVERY_STEP or group.optimizer in moving
    took = [step for step in optimizers.steps if step.optimizer == group.optimizer]
    is_plain = not made.skipped_by_scaler and all(step.within is None for step in took)
    return is_certain and is_plain and bool(group.lrs) and min(group.lrs) > 0


def _smallest_peak(gradient: Gradient, group: Group, optimizers: Optimizers) -> float:
    """Return the least of its largest elements over the steps; 0 where one is missing."""
    took = [step.step for step in optimizers.steps if step.optimizer == group.optimizer]
    peaks = [gradient.largest[i] if i < len(gradient.largest) else None for i in took]
    finite = [peak for peak in peaks if peak is not None and 0 < peak < INFINITY]
    return min(finite) if finite and len(finite) == len(peaks) else 0.0


def fails_when_a_hook_writes_the_old_values_back(_: Watch) -> None:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    kept = {name: value.clone() for name, value in model[0].state_dict().items()}
    optimizer.register_step_post_hook(lambda *_: model[0].load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_the_update_of_sgd_is_just_above_the_spacing(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    kept = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.3e-7)
    optimizer.register_step_post_hook(lambda *_: model.load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        (1.0 * model(torch.ones(1, 4)).sum()).backward()  # numbers at 1 lie 1.2e-7 apart
        optimizer.step()


def passes_when_the_update_of_sgd_is_just_below_the_spacing(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    kept = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.1e-7)
    optimizer.register_step_post_hook(lambda *_: model.load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        (1.0 * model(torch.ones(1, 4)).sum()).backward()  # numbers at 1 lie 1.2e-7 apart
        optimizer.step()


def fails_when_a_tenth_of_adams_rate_is_just_above_the_spacing(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    kept = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    optimizer = torch.optim.Adam(model.parameters(), lr=1.3e-6)
    optimizer.register_step_post_hook(lambda *_: model.load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        (1.0 * model(torch.ones(1, 4)).sum()).backward()  # numbers at 1 lie 1.2e-7 apart
        optimizer.step()


def passes_when_a_tenth_of_adams_rate_is_just_below_the_spacing(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    kept = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    optimizer = torch.optim.Adam(model.parameters(), lr=1.1e-6)
    optimizer.register_step_post_hook(lambda *_: model.load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        (1.0 * model(torch.ones(1, 4)).sum()).backward()  # numbers at 1 lie 1.2e-7 apart
        optimizer.step()


def fails_when_adams_gradient_is_just_above_the_least(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    kept = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.register_step_post_hook(lambda *_: model.load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        (1.1e-4 * model(torch.ones(1, 4)).sum()).backward()  # the gradient of each element
        optimizer.step()


def passes_when_adams_gradient_is_just_below_the_least(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    kept = {key: torch.ones_like(value) for key, value in model.state_dict().items()}
    model.load_state_dict(kept)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    optimizer.register_step_post_hook(lambda *_: model.load_state_dict(kept) and None)
    for _step in range(2):
        optimizer.zero_grad()
        (0.9e-4 * model(torch.ones(1, 4)).sum()).backward()  # the gradient of each element
        optimizer.step()


def passes_when_everything_moves(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def passes_when_the_gradient_is_zero_in_one_step(_: Watch) -> None:
    import torch

    model = torch.nn.ModuleList([torch.nn.Linear(4, 2), torch.nn.Linear(4, 2)])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(2):
        optimizer.zero_grad()
        (model[0](torch.ones(3, 4)) + 0.0 * model[1](torch.ones(3, 4))).sum().backward()
        optimizer.step()


def passes_when_a_foreign_optimizer_collects_steps(_: Watch) -> None:
    import torch

    class EveryFourth(torch.optim.SGD):
        calls = 0

        def step(self, _closure: object = None) -> None:  # type: ignore[override]
            self.calls += 1
            if self.calls % 4 == 0:
                super().step()

    model = torch.nn.Linear(4, 2)
    optimizer = EveryFourth(model.parameters(), lr=0.1)
    for _step in range(2):
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_nothing_moves_it_after_a_warm_up_from_zero(_: Watch) -> None:
    _warm_up(undone=True)


def passes_when_it_moves_after_a_warm_up_from_zero(_: Watch) -> None:
    _warm_up(undone=False)


def _warm_up(*, undone: bool) -> None:
    """Train with lr 0 in the first step, so that the recorded steps alone prove nothing."""
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 2))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    kept = {name: value.clone() for name, value in model[0].state_dict().items()}
    if undone:
        optimizer.register_step_post_hook(lambda *_: model[0].load_state_dict(kept) and None)
    for _step in range(31):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        optimizer.param_groups[0]["lr"] = 1e-3
