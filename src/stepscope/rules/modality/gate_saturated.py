"""A gate on a modality does not move from 0, or from 1, for any sample.

## What it proves
The result of a sigmoid or a softmax, or 1 less it, multiplies a feature that is computed by modules
which see one input of the model only. At the last five looks or more, and over the last half of the
run, every factor of it over a whole batch was at most 0.01: the modality is shut off. Or, as a
note, at least 0.99: the gate chooses nothing.

## Why it matters
Where a sigmoid is that near to its end its own gradient is below a twenty-fifth of the largest, and
what it multiplies gets a hundredth of its gradient: neither comes back. A fusion that has learnt to
trust one modality looks like one that works until that modality fails.

## What to do
Begin with the gate half open (a bias of 0), normalise what it is computed from, lower its learning
rate, or hold it from its ends by a small loss on its mean or by dropping a modality now and then.

## Limits
A warning: a modality that is of no use may be shut off rightly. Judged at the end of the run or
after 500 steps. Not seen: gates behind custom functions or in graphs of more than 20000 operations,
in programs that use hooks for saved tensors (activation checkpoints), and those whose feature needs
no gradient. Judged for inputs that the intent declares; where it declares none, for inputs of three
dimensions and more.

## Sources
- Wang et al., "What makes training multi-modal classification networks hard?" (CVPR 2020)
- The sigmoid's derivative g (1 - g) is 0.0099 at 0.01, and 0.25 at its largest.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.branches import Branch, ModalityBranches
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.gates import GateCurves, GateFound, GatesFound
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.intent import Intent

Look = tuple[int, float, float]  # step, lowest and highest factor


@rule("MOD004", Severity.WARNING)
def gate_saturated(
    gates: GatesFound,
    curves: GateCurves,
    branches: ModalityBranches,
    progress: Progress,
    intent: Intent | None,
    endings: Endings | None,
    *,
    near: float = 0.01,
    fewest: int = 5,
    settled: int = 500,
) -> Findings:
    meant = branches.of(intent.modalities if intent is not None else ())
    placed = [
        (gate, branch)
        for _, gate in gates.seen
        for branch in meant
        if all(map(branch.has, gate.gated))
    ]
    if not placed:
        raise NotJudged("no sigmoid or softmax multiplies the features of one modality")
    if (endings is None or endings.steps is None) and progress.step < settled:
        raise NotJudged(f"the run goes on, and has taken {progress.step} steps of {settled}")
    shut: set[str] = set()
    found: list[Finding] = []
    for gate, branch in placed:
        looks = curves.of(gate.number)
        closed = _last(looks, [high <= near for _, _, high in looks])
        opened = _last(looks, [low >= 1 - near for _, low, _ in looks])
        if _is_long(closed, progress.step, fewest):
            shut.add(gate.gate)
            found.append(_finding(gate, branch, closed, is_open=False))
        elif _is_long(opened, progress.step, fewest):
            found.append(_finding(gate, branch, opened, is_open=True))
    for each in found:  # of weights that sum to 1, the one at 0 tells of that at 1
        if each.severity is None or each.at.parameter not in shut:
            yield each


def _last(looks: list[Look], held: list[bool]) -> list[Look]:
    """Return the last looks, all of which held."""
    count = next((i for i, each in enumerate(reversed(held)) if not each), len(held))
    return looks[len(looks) - count :]


def _is_long(looks: list[Look], step: int, fewest: int) -> bool:
    return len(looks) >= fewest and 2 * (looks[-1][0] - looks[0][0]) >= step


def _finding(gate: GateFound, branch: Branch, looks: list[Look], *, is_open: bool) -> Finding:
    low, high = min(low for _, low, _ in looks), max(high for _, _, high in looks)
    return Finding(
        subject=f"gate on input {branch.input!r}",
        message="is at 1 for every sample: it chooses nothing"
        if is_open
        else "is at 0 for every sample: the modality is shut off",
        measured=f"factors of its {gate.function} {low:.3g} to {high:.3g}, over whole batches"
        f" at the last {len(looks)} looks, since step {looks[0][0]}",
        expected="factors that differ from sample to sample",
        at=Place(parameter=gate.gate, module=gate.gate.rpartition(".")[0]),
        severity=Severity.NOTE if is_open else None,
    )


def _train(bias: float | None, *, softmax: bool = False, shared: bool = False) -> None:
    import torch

    class Gated(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visible = torch.nn.Linear(4, 4)
            self.thermal = torch.nn.Linear(4, 4)
            self.gate = torch.nn.Linear(8, 2 if softmax else 1)
            self.head = torch.nn.Linear(4, 1)
            if bias is not None:
                self.gate.weight.data.mul_(0.01)
                self.gate.bias.data.copy_(torch.tensor([0.0, bias])[-self.gate.out_features :])

        def forward(self, visible: torch.Tensor, thermal: torch.Tensor) -> torch.Tensor:
            seen, warm = self.visible(visible), self.thermal(thermal)
            if shared:
                seen = warm = seen + warm
            scores = self.gate(torch.cat([visible, thermal], dim=2))
            if softmax:
                weights = scores.softmax(dim=2)
                fused = weights[..., :1] * seen + weights[..., 1:] * warm
            else:
                fused = seen + scores.sigmoid() * warm
            result: torch.Tensor = self.head(fused)
            return result

    model = Gated()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    for _step in range(24):
        optimizer.zero_grad()
        model(torch.randn(8, 3, 4), torch.randn(8, 3, 4)).square().mean().backward()
        optimizer.step()


def fails_when_a_sigmoid_stays_at_0(_: Watch) -> None:
    _train(bias=-8.0)


def fails_when_a_softmax_stays_at_0(_: Watch) -> None:
    _train(bias=-8.0, softmax=True)


def fails_as_a_note_when_a_sigmoid_stays_at_1(_: Watch) -> None:
    _train(bias=8.0)


def passes_when_the_gate_is_half_open(_: Watch) -> None:
    _train(bias=None)


def skips_when_the_gate_is_on_what_both_gave(_: Watch) -> None:
    _train(bias=-8.0, shared=True)


def _seen(
    highest: tuple[float, ...], *, steps: int = 500, every: int = 100
) -> tuple[GatesFound, GateCurves, ModalityBranches, Progress, Endings]:
    from stepscope.evidence.course.endings import RunEnded
    from stepscope.evidence.course.series import Series

    def branch(name: str) -> Branch:
        return Branch(
            input=name, dimensions=4, modules=(name,), first=name, last=name,
            samples=8, is_same=False, is_zero=False,
        )  # fmt: skip

    gate = GateFound(number=0, function="sigmoid", gate="gate.bias", gated=("thermal.weight",))
    at = tuple(range(0, every * len(highest), every))
    return (
        GatesFound(seen=((0, gate),), count=1),
        GateCurves(
            series={"0 lowest": Series(at, (0.0,) * len(at)), "0 highest": Series(at, highest)}
        ),
        ModalityBranches(branches=(branch("visible"), branch("thermal"))),
        Progress(first=0, step=steps, sampled=len(at), seconds=1.0),
        Endings(seen=((steps, RunEnded(finished=False)),), count=1),
    )


def fails_when_the_highest_factor_is_0_01(watch: Watch) -> None:
    watch.saw(*_seen((0.5, *(0.01,) * 5)))


def passes_when_the_highest_factor_is_0_011_at_the_last_look(watch: Watch) -> None:
    watch.saw(*_seen((0.5, *(0.01,) * 4, 0.011)))


def passes_when_it_was_shut_at_the_last_four_looks(watch: Watch) -> None:
    watch.saw(*_seen((0.5, *(0.01,) * 4)))


def passes_when_it_was_shut_for_less_than_half_of_the_run(watch: Watch) -> None:
    watch.saw(*_seen((*(0.5,) * 6, *(0.01,) * 5), steps=1000))


def passes_when_the_last_look_was_in_the_first_half(watch: Watch) -> None:
    watch.saw(*_seen((0.01,) * 5, every=62))


def skips_when_the_modality_is_not_declared(watch: Watch) -> None:
    watch.saw(*_seen((0.01,) * 5), Intent(modalities=("visible",)))


def skips_when_the_run_has_taken_499_steps(watch: Watch) -> None:
    watch.saw(*_seen((0.01,) * 5, steps=499))
