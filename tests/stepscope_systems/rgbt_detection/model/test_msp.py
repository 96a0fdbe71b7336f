"""MSP: the identity at the start, within its range ever after, and learning its mixture."""

import pytest
import torch
from torch import Tensor

from stepscope_systems.rgbt_detection.model.msp import ModalitySpecificGate

pytestmark = pytest.mark.corpus
CHANNELS = 4


def levels() -> dict[str, Tensor]:
    return {"0": torch.randn(2, CHANNELS, 6, 8), "1": torch.randn(2, CHANNELS, 3, 4)}


def learnt(scale: float = 1.0, alpha: float = 0.5) -> ModalitySpecificGate:
    gate = ModalitySpecificGate(CHANNELS)
    with torch.no_grad():
        for parameter in gate.parameters():
            parameter.normal_(std=scale)
        gate.alpha.fill_(alpha)
    return gate


def test_a_new_gate_changes_no_bit() -> None:
    features = levels()
    gated = ModalitySpecificGate(CHANNELS)(features)
    assert all(torch.equal(gated[name], features[name]) for name in features)


def test_a_gate_equals_its_formula_written_as_loops() -> None:
    gate, features = learnt(alpha=0.3), torch.randn(2, CHANNELS, 4, 5)
    expected = torch.empty(2, 1, 4, 5)
    for modality, share in ((0, 0.3), (1, 0.7)):
        for row in range(4):
            for column in range(5):
                window = features[
                    modality, :, max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2
                ].flatten(1)  # beyond the border there is nothing
                average, maximum = window.mean(1), window.max(1).values
                said = share * (gate.average.weight.flatten() @ average + gate.average.bias)
                said += (1 - share) * (gate.maximum.weight.flatten() @ maximum + gate.maximum.bias)
                expected[modality, 0, row, column] = 0.5 + torch.sigmoid(said)
    torch.testing.assert_close(gate.gate(features), expected)


@pytest.mark.parametrize("scale", [0.1, 3.0])
def test_a_gate_lies_between_a_half_and_one_and_a_half(scale: float) -> None:
    gate = learnt(scale).gate(torch.randn(8, CHANNELS, 6, 8)).double()
    assert 0.5 < gate.min() < 1 < gate.max() < 1.5


@pytest.mark.parametrize(("alpha", "same"), [(-2.0, 0.0), (3.0, 1.0)])
def test_an_alpha_beyond_its_bounds_means_the_bound(alpha: float, same: float) -> None:
    features = levels()["0"]
    beyond, within = learnt(alpha=alpha), ModalitySpecificGate(CHANNELS)
    within.load_state_dict(beyond.state_dict() | {"alpha": torch.tensor(same)})
    assert torch.equal(beyond.gate(features), within.gate(features))


def test_alpha_learns_from_the_second_step_on() -> None:
    gate, features = ModalitySpecificGate(CHANNELS), levels()
    optimizer = torch.optim.SGD(gate.parameters(), lr=0.1)
    gradients = []
    for _ in range(2):
        optimizer.zero_grad()
        sum(level.square().sum() for level in gate(features).values()).backward()
        assert gate.alpha.grad is not None
        gradients.append(gate.alpha.grad.abs().item())
        optimizer.step()
    assert gradients[0] == 0 < gradients[1]
