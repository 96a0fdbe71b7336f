"""Gates are found in the graph, by the parameters around them, and read as they multiply."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from stepscope.evidence.course.gates import GateFound
from stepscope.evidence.course.line import Line
from stepscope.probes.course.gates import GateSampler
from stepscope.probes.course.pulse import Pulse

Joined = Callable[["Model", Tensor, Tensor], Tensor]


class Model(torch.nn.Module):
    def __init__(self, join: Joined) -> None:
        super().__init__()
        self.left, self.right = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
        self.gate = torch.nn.Linear(3, 2)
        self.join = join

    def forward(self, x: Tensor) -> Tensor:
        return self.join(self, self.left(x), self.gate(x))


def train(join: Joined, steps: int = 1) -> tuple[list[Line], list[Tensor]]:
    lines: list[Line] = []
    torch.manual_seed(0)
    model = Model(join)
    scores = []
    with Pulse([GateSampler], line=lines.append, every=1):
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            x = torch.randn(4, 3)
            scores.append(model.gate(x).detach())
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()
    return lines, scores


GATES: dict[str, tuple[Joined, Callable[[Tensor], Tensor]]] = {
    "sigmoid": (lambda _, left, gate: left * gate.sigmoid(), torch.sigmoid),
    "one half of it, to the left": (
        lambda _, left, gate: gate.sigmoid()[:, :1] * left,
        lambda score: score.sigmoid()[:, 0],
    ),
    "what is left to 1": (
        lambda _, left, gate: left * (1 - gate.sigmoid()),
        lambda score: 1 - score.sigmoid(),
    ),
    "softmax": (
        lambda _, left, gate: left * gate.softmax(dim=1).unbind(1)[1].unsqueeze(1),
        lambda score: score.softmax(dim=1)[:, 1],
    ),
}


@pytest.mark.parametrize("name", GATES)
def test_the_factor_is_read_as_it_multiplies(name: str) -> None:
    join, expected = GATES[name]
    (line,), (score,) = train(join)
    (found,) = line.happened
    assert isinstance(found, GateFound)
    assert found.function == ("softmax" if name == "softmax" else "sigmoid")
    assert found.gate.startswith("gate.")
    assert set(found.gated) == {"left.weight", "left.bias"}
    assert line.numbers["gate"]["0 lowest"] == pytest.approx(float(expected(score).min()))
    assert line.numbers["gate"]["0 highest"] == pytest.approx(float(expected(score).max()))


NO_GATES: dict[str, Joined] = {
    "an activation": lambda _, left, __: left * left.sigmoid(),
    "a sum": lambda _, left, gate: left + gate.sigmoid(),
    "a difference of two": lambda _, left, gate: left * (gate.sigmoid() - left.sigmoid()),
    "a number": lambda _, left, gate: left.sum() + 2 * gate.sigmoid(),
}


@pytest.mark.parametrize("name", NO_GATES)
def test_what_is_no_gate_is_left_alone(name: str) -> None:
    assert train(NO_GATES[name], steps=5)[0] == []


def test_a_gate_keeps_its_number() -> None:
    lines, _ = train(GATES["sigmoid"][0], steps=3)
    assert [each.number for line in lines for each in line.happened] == [0]
    assert [set(line.numbers["gate"]) for line in lines] == [{"0 lowest", "0 highest"}] * 3


def test_hooks_of_the_program_are_not_run_to_read_a_gate() -> None:
    unpacked: list[str] = []

    def unpack(tensor: Tensor) -> Tensor:
        unpacked.append("backward")
        return tensor

    def join(_: Model, left: Tensor, gate: Tensor) -> Tensor:
        with torch.autograd.graph.saved_tensors_hooks(lambda tensor: tensor, unpack):
            return left * gate.sigmoid()

    lines, _ = train(join)
    assert lines == []
    watched = len(unpacked)
    unpacked.clear()
    model = Model(join)
    model(torch.randn(4, 3)).sum().backward()
    assert len(unpacked) == watched
