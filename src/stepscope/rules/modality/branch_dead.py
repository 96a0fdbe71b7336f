"""The part of the model that a modality goes through is dead.

## What it proves
Some modules are given what was computed from one input of the model, and nothing else. Over the run
one of two was seen:
- the first of them that is trained had a gradient of exactly 0 at each of the last 10 sampled steps
  or more, while other parts of the model had a gradient;
- at two close looks or more, of which the last is in the second half of the run, and at every look,
  they gave the same output for each sample, bit for bit, though the samples of the input differed.

## Why it matters
The modality does not take part any more: the loss falls on what the others explain. A branch that
has died mid-run, as of ReLUs behind a step that was too large, stays dead, and no log tells it.

## What to do
Look at the outputs of the branch from its first layer on, for where all samples become equal: a
layer of ReLUs that are all at 0, a feature that is multiplied by 0 or replaced. A smaller learning
rate, a warm-up, or another activation keeps it alive.

## Limits
A warning: a modality may be switched off in a phase of the training. Judged for inputs that the
intent declares; where it declares none, for inputs of three dimensions and more, if two have
modules of their own. A backbone that all modalities share is no branch. A branch that never had a
gradient is judged at the end of the run or after 500 steps, one that has died 200 steps later, or
at the end if that was in the first half.

## Sources
- Lu et al., "Dying ReLU and initialization" (2020), https://arxiv.org/abs/1903.06733
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.branches import Branch, ModalityBranches
from stepscope.evidence.course.branch_looks import BranchLooks
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.gradient_curves import GradientCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series
from stepscope.evidence.intent import Intent
from stepscope.evidence.parameters import is_below


@rule("MOD003", Severity.WARNING)
def branch_dead(
    branches: ModalityBranches,
    progress: Progress,
    intent: Intent | None,
    curves: GradientCurves | None,
    looks: BranchLooks | None,
    endings: Endings | None,
    *,
    fewest: int = 10,
    settled: int = 500,
    later: int = 200,
) -> Findings:
    meant = branches.of(intent.modalities if intent is not None else ())
    if not meant:
        raise NotJudged("no modality has modules of its own")
    has_ended = endings is not None and endings.steps is not None
    step = progress.step
    found: list[Finding] = []
    waits = False
    for branch in meant:
        seen = looks.at(branch.input) if looks is not None else []
        is_same = bool(seen) and all(each.is_same for each in seen)
        dead = _dead(branch, curves, fewest) if curves is not None else None
        if dead is not None:
            name, zeros, has_lived = dead
            span = zeros[-1] - zeros[0] + 1
            if span >= (later if has_lived else settled) or (has_ended and 2 * span >= step):
                found.append(_no_gradient(branch, name, zeros, is_same=is_same))
                continue
            waits = True
        if is_same and len(seen) > 1 and looks is not None:
            if looks.is_late(step) and (has_ended or step >= settled):
                found.append(_same(branch, seen))
            waits = True
    if waits and not found:
        raise NotJudged("a branch seems dead so far, and the run goes on")
    yield from found


def _dead(
    branch: Branch, curves: GradientCurves, fewest: int
) -> tuple[str, tuple[int, ...], bool] | None:
    """Return the curve of the first layer, its last steps at 0, and whether it was not before.

    None while it lives, or where nothing else does.
    """
    own = [name for name in curves.series if branch.has(name) and is_below(branch.first, name)]
    if not own or not branch.first:
        return None
    name = max(own, key=len)
    points = list(curves.series[name])
    zeros = next((i for i, (_, value) in enumerate(reversed(points)) if value != 0), len(points))
    if zeros < fewest:
        return None
    steps = curves.series[name].steps[-zeros:]
    others = [each for other, each in curves.series.items() if not branch.has(other)]
    if not any(_lives(each, steps[0]) for each in others):
        return None
    return name, steps, zeros < len(points)


def _lives(curve: Series, since: int) -> bool:
    return any(value > 0 for step, value in curve if step >= since)


def _no_gradient(branch: Branch, name: str, zeros: tuple[int, ...], *, is_same: bool) -> Finding:
    output = "; at each look its output was " + (
        "0" if branch.is_zero else "the same in all samples"
    )
    return Finding(
        subject=f"branch of input {branch.input!r}",
        message="is dead: no gradient comes back to its first layer",
        measured=f"the gradient of {name} was 0 at the last {len(zeros)} sampled steps,"
        f" since step {zeros[0]}" + (output if is_same else ""),
        expected="a gradient, as in the rest of the model",
        at=Place(module=branch.first, parameter=branch.input),
    )


def _same(branch: Branch, seen: list[Branch]) -> Finding:
    what = "0 everywhere" if all(each.is_zero for each in seen) else "equal bit for bit"
    return Finding(
        subject=f"branch of input {branch.input!r}",
        message="is dead: its output is the same in every sample",
        measured=f"{sum(each.samples for each in seen)} samples at {len(seen)} looks, {what};"
        " those of the input differ",
        expected="outputs that differ",
        at=Place(module=branch.last, parameter=branch.input),
    )


def _train(*, dies_at: int | None, steps: int = 24) -> None:
    import torch

    class Fusion(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visible = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh())
            self.thermal = torch.nn.Linear(4, 4)
            self.head = torch.nn.Linear(8, 1)

        def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
            both = self.visible(visible).mean(1), self.thermal(thermal).relu().mean(1)
            result: torch.Tensor = self.head(torch.cat(both, dim=1))
            return result

    model = Fusion()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for step in range(steps):
        if step == dies_at:
            model.thermal.bias.data.fill_(-100.0)
        optimizer.zero_grad()
        model(torch.randn(8, 3, 4), torch.randn(8, 3, 4)).square().sum().backward()
        optimizer.step()


def fails_when_its_relus_are_dead_from_the_start(_: Watch) -> None:
    _train(dies_at=0)


def fails_when_its_relus_die_half_way(_: Watch) -> None:
    _train(dies_at=12)


def skips_when_its_relus_die_in_the_second_half(_: Watch) -> None:
    _train(dies_at=13)


def passes_when_both_branches_live(_: Watch) -> None:
    _train(dies_at=None)


def _seen(
    *, zeros: int = 0, since: int = 0, until: int, same: tuple[bool, ...] = (), last: int = 250
) -> tuple[ModalityBranches, BranchLooks, GradientCurves, Progress, Endings]:
    from stepscope.evidence.course.branch_looks import BranchesLooked
    from stepscope.evidence.course.endings import RunEnded

    def branch(name: str, *, is_same: bool = False) -> Branch:
        return Branch(
            input=name, dimensions=4, modules=(name,), first=f"{name}.stem", last=name,
            samples=8, is_same=is_same, is_zero=False,
        )  # fmt: skip

    branches = (branch("visible"), branch("thermal"))
    at = (*range(since), *(since + i * (until - since) // (zeros - 1) for i in range(zeros)))
    ones = (1.0,) * len(at)
    looks = tuple(
        (last * i, BranchesLooked(branches=(branches[0], branch("thermal", is_same=each))))
        for i, each in enumerate(same)
    )
    return (
        ModalityBranches(branches=branches),
        BranchLooks(seen=looks, count=len(looks)),
        GradientCurves(
            series={
                "visible.stem": Series(at, ones),
                "thermal.stem": Series(at, (1.0,) * since + (0.0,) * zeros),
            }
        ),
        Progress(first=0, step=until + 1, sampled=len(at), seconds=1.0),
        Endings(seen=((until + 1, RunEnded(finished=False)),), count=1),
    )


def fails_when_it_never_lived_in_500_steps(watch: Watch) -> None:
    watch.saw(*_seen(zeros=10, until=499))


def skips_when_it_never_lived_in_499_steps(watch: Watch) -> None:
    watch.saw(*_seen(zeros=10, until=498))


def fails_when_it_died_200_steps_ago(watch: Watch) -> None:
    watch.saw(*_seen(zeros=10, since=3, until=202))


def skips_when_it_died_199_steps_ago(watch: Watch) -> None:
    watch.saw(*_seen(zeros=10, since=3, until=201))


def passes_when_the_last_9_sampled_steps_had_no_gradient(watch: Watch) -> None:
    watch.saw(*_seen(zeros=9, until=899))


def fails_when_two_looks_show_one_output(watch: Watch) -> None:
    watch.saw(*_seen(since=30, until=499, same=(True, True)))


def skips_when_two_looks_show_one_output_by_step_499(watch: Watch) -> None:
    watch.saw(*_seen(since=30, until=498, same=(True, True)))


def skips_when_both_looks_were_in_the_first_half(watch: Watch) -> None:
    watch.saw(*_seen(since=30, until=499, same=(True, True), last=249))


def passes_when_one_look_shows_one_output(watch: Watch) -> None:
    watch.saw(*_seen(since=30, until=499, same=(True,)))


def passes_when_the_last_look_shows_different_outputs(watch: Watch) -> None:
    watch.saw(*_seen(since=30, until=499, same=(True, True, False)))


def passes_when_it_is_not_declared(watch: Watch) -> None:
    watch.saw(*_seen(zeros=10, until=600), Intent(modalities=("visible",)))


def skips_when_all_share_one_backbone(_: Watch) -> None:
    import torch

    class Shared(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.backbone = torch.nn.Linear(4, 1)

        def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
            both = self.backbone(visible) + self.backbone(thermal)
            assert isinstance(both, torch.Tensor)
            return both

    model = Shared()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _step in range(2):
        optimizer.zero_grad()
        model(torch.randn(8, 3, 4), torch.randn(8, 3, 4)).square().sum().backward()
        optimizer.step()
