"""MACL: what it projects, and the loss against a naive loop."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stepscope_systems.rgbt_detection.model.macl import (
    Embedded,
    ModalityAlignment,
    Norm,
    info_nce,
)

pytestmark = pytest.mark.corpus
CHANNELS = 8


def embedded(people: int) -> Embedded:
    visible, infrared = functional.normalize(torch.randn(2, people, 16), dim=2)
    return Embedded(visible=visible, infrared=infrared)


def naive(rows: Tensor, columns: Tensor, temperature: float) -> float:
    total = 0.0
    for i, row in enumerate(rows):
        scores = [math.exp(float(row @ column) / temperature) for column in columns]
        total -= math.log(scores[i] / sum(scores))
    return total / len(rows)


@pytest.mark.parametrize("people", [2, 5])
def test_the_loss_equals_a_naive_loop_in_both_directions(people: int) -> None:
    pairs = embedded(people)
    expected = naive(pairs.visible, pairs.infrared, 0.07) + naive(
        pairs.infrared, pairs.visible, 0.07
    )
    loss = info_nce(pairs, torch.tensor(0.07))
    assert float(loss) == pytest.approx(expected / 2, rel=1e-5)


@pytest.mark.parametrize("people", [2, 7])
def test_the_loss_is_ln_n_where_everybody_looks_alike(people: int) -> None:
    row = functional.normalize(torch.ones(1, 16), dim=1).expand(people, -1)
    loss = info_nce(Embedded(visible=row, infrared=row), torch.tensor(0.07))
    assert float(loss) == pytest.approx(math.log(people), rel=1e-6)


def test_the_loss_does_not_depend_on_the_order_of_people() -> None:
    pairs, order = embedded(6), torch.randperm(6)
    mixed = Embedded(visible=pairs.visible[order], infrared=pairs.infrared[order])
    temperature = torch.tensor(0.1)
    torch.testing.assert_close(info_nce(mixed, temperature), info_nce(pairs, temperature))


@pytest.mark.parametrize("people", [0, 1])
def test_a_loss_over_fewer_than_two_people_is_refused(people: int) -> None:
    with pytest.raises(ValueError, match=f"over {people} people; expected two or more"):
        info_nce(embedded(people), torch.tensor(0.07))


@pytest.mark.parametrize("norm", ["bn", "gn", "none"])
@pytest.mark.parametrize("people", [1, 3])
def test_both_modalities_are_projected_in_one_call_to_unit_length(norm: Norm, people: int) -> None:
    alignment = ModalityAlignment(CHANNELS, norm)
    seen = list[int]()

    def count(module: Any, inputs: tuple[Tensor]) -> None:
        seen.append(len(inputs[0]))

    alignment.projector.register_forward_pre_hook(count)
    found = alignment(torch.randn(people, CHANNELS), torch.randn(people, CHANNELS))
    assert seen == [2 * people]
    for rows in (found.visible, found.infrared):
        torch.testing.assert_close(rows.norm(dim=1), torch.ones(people))


def test_one_projector_serves_both_modalities() -> None:
    alignment = ModalityAlignment(CHANNELS, "gn")
    features = torch.randn(3, CHANNELS)
    found = alignment(features, features)
    torch.testing.assert_close(found.visible, found.infrared)


@pytest.mark.parametrize(
    ("tau", "expected"), [(0.005, 0.01), (0.011, 0.011), (0.99, 0.99), (1.5, 1.0), (-3, 0.01)]
)
def test_the_temperature_stays_within_its_bounds(tau: float, expected: float) -> None:
    alignment = ModalityAlignment(CHANNELS, "bn")
    with torch.no_grad():
        alignment.tau.fill_(tau)
    assert alignment.temperature.item() == pytest.approx(expected)


def test_the_temperature_starts_at_its_published_value() -> None:
    assert ModalityAlignment(CHANNELS, "bn").temperature.item() == pytest.approx(0.07)


def test_training_on_one_batch_finds_everybody() -> None:
    alignment = ModalityAlignment(CHANNELS, "bn")
    visible, infrared = torch.randn(2, 12, CHANNELS)
    optimizer = torch.optim.Adam(alignment.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        loss = info_nce(alignment(visible, infrared), alignment.temperature)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1 * math.log(12)
