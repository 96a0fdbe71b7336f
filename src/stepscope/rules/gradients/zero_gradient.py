"""The gradient of a parameter is exactly 0 on every element, step after step.

## What it proves
In every recorded step a backward reached the parameter through autograd's graph, and each element
of its gradient was exactly 0, although an optimizer had moved the model in between. A path exists,
and nothing comes through it. Over a run: at 20 sampled steps or more, and at no other, the
gradients of a module that a backward had once reached had the norm 0.

## Why it matters
The parameter does not learn, yet no gradient is missing: it looks as if all were well. Causes
are a factor of 0, a clamp or ReLU that is saturated for the whole batch, a hard rounding, or a
loss over no targets.

## What to do
Follow the value from the module to the loss and look for the operation whose derivative is 0.

## Limits
Fewer than three steps with a gradient are not judged, and fewer than 20 give a note: a loss that
selects (hard negatives, the anchors that match an object) leaves parts of a head without gradient
for some batches. A note too where another parameter of the same module receives a gradient: then
the module's input is 0, as that of a decoder whose queries start at 0. A first step with gradient 0
is normal: LoRA starts so, and everything behind a layer that begins at 0. Where nothing moved
between the steps (a warm-up from learning rate 0) nothing could change, and nothing is said.
Experts that only got empty inputs are left alone, and so are parameters whose learning rate is 0. A
parameter that enters the loss only times the number 0, written in the program (`loss + 0 *
p.sum()`, so that DistributedDataParallel finds it), is a note. Over a run, where parts of a loss
may wait for their turn, modules are judged at its end, or after 1000 steps.

## Sources
- 20 steps: a part that one batch in five selects is left out of 20 in a row once in 87 times
- Three steps: the second-order zeros of a zero-initialised product, as in LoRA
  (https://arxiv.org/abs/2106.09685, section 4.1), last one step; one more is a margin
"""

from typing import Any

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.gradient_curves import GradientCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.environment import Beginning
from stepscope.evidence.gradient_paths import GradientPaths
from stepscope.evidence.gradients import Gradients
from stepscope.evidence.modules import Modules
from stepscope.evidence.optimizers import Optimizers
from stepscope.evidence.parameters import Parameters
from stepscope.evidence.subtrees import subtrees

_TIMES_ZERO = ": it enters the loss only times the number 0"
_NO_INPUT = ", while its module's other parameters receive one: what it is multiplied with is 0"


@rule("GRD005", Severity.WARNING)
def zero_gradient(
    gradients: Gradients,
    parameters: Parameters,
    optimizers: Optimizers,
    modules: Modules | None,
    paths: GradientPaths | None,
    beginning: Beginning | None,
    curves: GradientCurves | None,
    progress: Progress | None,
    endings: Endings | None,
    *,
    steps: int = 3,
    sure: int = 20,
    settled: int = 1000,
) -> Findings:
    is_over = endings is not None and endings.steps is not None
    is_settled = is_over or (progress is not None and progress.step >= settled)
    sampled = max(map(len, curves.series.values())) if curves is not None and is_settled else 0
    taken = max((len(each.norms) for each in gradients.gradients), default=0)
    if beginning is not None and taken >= steps:
        yield from _in_windows(gradients, parameters, optimizers, modules, paths, steps, sure)
    elif sampled < sure:
        first = taken if beginning is not None else 0
        raise NotJudged(f"needs {steps} optimizer steps from the first on; {first} recorded")
    if curves is not None and sampled >= sure:
        yield from _over_time(curves, parameters, optimizers, modules, paths, sure)


def _over_time(
    curves: GradientCurves,
    parameters: Parameters,
    optimizers: Optimizers,
    modules: Modules | None,
    paths: GradientPaths | None,
    sure: int,
) -> Findings:
    """Report the modules of which no sampled step has seen a gradient other than 0."""
    excused = _idle_modules(modules) | set(paths.zeroed if paths is not None else ())
    for module, norms in curves.series.items():
        own = [each.name for each in parameters.below(module) if each.trainable]
        if len(norms) < sure or any(norm != 0 for _, norm in norms):
            continue
        if not own or any(optimizers.stands_still(name) or name in excused for name in own):
            continue
        if module not in excused:
            yield Finding(
                subject=f"{module or 'the model'} ({len(own)} parameters)",
                message="has a gradient that is exactly 0 at every sampled step of the run",
                measured=f"norm 0 at {len(norms)} steps,"
                f" from step {norms.steps[0]} to {norms.steps[-1]}",
                expected="some element other than 0 after the first steps",
                at=Place(module=module),
            )


def _in_windows(
    gradients: Gradients,
    parameters: Parameters,
    optimizers: Optimizers,
    modules: Modules | None,
    paths: GradientPaths | None,
    steps: int,
    sure: int,
) -> Findings:
    taken = max(len(each.norms) for each in gradients.gradients)
    moves = _steps_that_moved(parameters)
    idle = _idle_modules(modules)
    zero: list[str] = []
    for parameter in parameters.parameters:
        seen = gradients.of(parameter.name)
        if seen is None or optimizers.stands_still(parameter.name) or parameter.owner in idle:
            continue
        there = [i for i, largest in enumerate(seen.largest) if largest is not None]
        reached = sum(seen.reached[i] for i in there if i < len(seen.reached))
        moved = len([i for i in there[:-1] if i in moves])
        exactly = all(seen.largest[i] == 0 for i in there)
        if len(there) >= steps and reached >= steps and moved >= steps - 1 and exactly:
            zero.append(parameter.name)
    sizes = {each.name: each.numel for each in parameters.parameters}
    meant = set(paths.zeroed) if paths is not None else set()
    alive = {
        each.owner
        for each in parameters.parameters
        if (seen := gradients.of(each.name)) is not None and any(seen.largest)
    }
    owners = {each.name: each.owner for each in parameters.parameters}
    causes: dict[str, list[str]] = {}
    for name in zero:
        cause = _TIMES_ZERO if name in meant else _NO_INPUT if owners[name] in alive else ""
        causes.setdefault(cause, []).append(name)
    trees = [(tree, cause) for cause, names in causes.items() for tree in subtrees(names, sizes)]
    for tree, cause in trees:
        count = sum(sizes[name] for name in tree.members)
        yield Finding(
            subject=tree.subject,
            message=f"is reached by backward, and its whole gradient is exactly 0{cause}",
            measured=f"{count:,} elements, each 0 in every one of {taken} steps",
            expected="some element other than 0 after the first steps",
            at=tree.place,
            severity=Severity.NOTE if cause or taken < sure else None,
        )


def _steps_that_moved(parameters: Parameters) -> set[int]:
    moved: set[int] = set()
    for parameter in parameters.parameters:
        entries = zip(parameter.before, parameter.after, strict=False)
        pairs = enumerate(entries, start=parameter.first_step)
        moved.update(i for i, (before, after) in pairs if before != after)
    return moved


def _idle_modules(modules: Modules | None) -> set[str]:
    """Return the modules that got no elements, or never ran, and all below them."""
    if modules is None:
        return set()
    idle = {m.name for m in modules.modules if m.calls and m.empty_calls == m.calls}
    return {
        m.name
        for m in modules.modules
        if any(m.name == name or m.name.startswith(f"{name}.") for name in idle)
    }


def _train(model: object, steps: int, *, lr: float = 0.1) -> None:
    import torch

    assert isinstance(model, torch.nn.Module)
    optimizer = torch.optim.SGD(model.parameters(), lr=lr)
    for _step in range(steps):
        optimizer.zero_grad()
        model(torch.randn(5, 4)).square().mean().backward()
        optimizer.step()


def _saturated() -> object:
    import torch

    model = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    torch.nn.init.constant_(model[0].bias, -100.0)  # type: ignore[arg-type]  # a parameter
    return model


def fails_when_a_layer_is_saturated_for_twenty_steps(_: Watch) -> None:
    _train(_saturated(), steps=20)


def fails_as_a_note_when_a_layer_is_saturated_for_nineteen_steps(_: Watch) -> None:
    _train(_saturated(), steps=19)


def fails_as_a_note_when_the_input_of_a_layer_is_zero(_: Watch) -> None:
    import torch

    class Decoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = torch.nn.Linear(4, 4)
            self.head = torch.nn.Linear(4, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.head(self.value(torch.zeros_like(x)) + x)
            return result

    _train(Decoder(), steps=20)


def skips_when_there_are_two_steps(_: Watch) -> None:
    _train(_saturated(), steps=2)


def passes_when_nothing_moves(_: Watch) -> None:
    _train(_saturated(), steps=3, lr=0.0)


def passes_with_an_adapter_that_starts_at_zero(_: Watch) -> None:
    import torch

    class Adapted(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.base = torch.nn.Linear(4, 4).requires_grad_(False)
            self.down = torch.nn.Linear(4, 2, bias=False)
            self.up = torch.nn.Linear(2, 4, bias=False)
            torch.nn.init.zeros_(self.up.weight)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            result: torch.Tensor = self.base(x) + self.up(self.down(x))
            return result

    _train(Adapted(), steps=3)


def passes_when_an_expert_gets_no_tokens(_: Watch) -> None:
    import torch

    class Experts(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.experts = torch.nn.ModuleList(torch.nn.Linear(4, 4) for _ in range(2))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([self.experts[0](x), self.experts[1](x[:0])])

    _train(Experts(), steps=3)


def passes_when_the_learning_rate_of_the_part_is_zero(_: Watch) -> None:
    import torch

    used, unused = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
    groups: list[dict[str, Any]] = [
        {"params": used.parameters()},
        {"params": unused.parameters(), "lr": 0.0},
    ]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    for _step in range(3):
        x = torch.randn(5, 4)
        optimizer.zero_grad()
        (used(x) + 0 * unused(x)).square().mean().backward()
        optimizer.step()


def fails_as_a_note_when_every_parameter_is_added_times_zero(_: Watch) -> None:
    import torch

    used, unused = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
    token = torch.nn.Parameter(torch.ones(4))
    parameters = [*used.parameters(), *unused.parameters(), token]
    optimizer = torch.optim.SGD(parameters, lr=0.1)
    for _step in range(3):
        optimizer.zero_grad()
        loss = used(torch.randn(5, 4)).square().mean()
        (loss + 0 * sum(p.sum() for p in parameters)).backward()
        optimizer.step()


def fails_when_no_sampled_step_of_a_run_had_a_gradient(watch: Watch) -> None:
    _train(_saturated(), steps=4)
    watch.saw(_of_a_run(1000, dead=20, value=0.0))


def passes_when_one_sampled_step_of_a_run_had_a_gradient(watch: Watch) -> None:
    _train(_alive(), steps=4)
    watch.saw(_of_a_run(1000, dead=20, value=1e-8))


def passes_when_nineteen_sampled_steps_had_none(watch: Watch) -> None:
    _train(_alive(), steps=4)
    watch.saw(_of_a_run(1000, dead=18, value=0.0))


def _alive() -> object:
    import torch

    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Linear(4, 1))


def _of_a_run(steps: int, *, dead: int, value: float) -> GradientCurves:
    from stepscope.evidence.course.series import Series

    at = (*range(dead), steps - 1)
    return GradientCurves(series={"0": Series(at, (0.0,) * dead + (value,))})
