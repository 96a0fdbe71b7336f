"""The total is the weighted sum of its terms, and hides nothing."""

import math

import pytest
import torch

from stepscope_systems.rgbt_detection.config import LossWeights
from stepscope_systems.rgbt_detection.loss import total_loss, weights_of

WEIGHTS = LossWeights(detection=2.0, macl=0.5, dhn=0.25, domain=0.125)
TERMS = {
    "loss_objectness": 1.0,
    "loss_rpn_box_reg": 2.0,
    "loss_classifier": 4.0,
    "loss_box_reg": 8.0,
    "loss_macl": 16.0,
    "loss_dhn": 32.0,
    "loss_domain": -64.0,
}


def test_the_total_is_exactly_the_sum_of_weight_times_term() -> None:
    found = total_loss({name: torch.tensor(value) for name, value in TERMS.items()}, WEIGHTS)
    assert found.total.item() == 2 * (1 + 2 + 4 + 8) + 0.5 * 16 + 0.25 * 32 - 0.125 * 64
    assert found.weighted["loss_macl"].item() == 8
    assert sum(each.item() for each in found.weighted.values()) == found.total.item()


def test_a_gradient_comes_out_as_its_weight() -> None:
    terms = {name: torch.tensor(value, requires_grad=True) for name, value in TERMS.items()}
    total_loss(terms, WEIGHTS).total.backward()
    weights = weights_of(WEIGHTS)
    assert {name: float(term.grad) for name, term in terms.items() if term.grad is not None} == (
        weights
    )


def test_the_published_lambdas_are_the_weights_to_start_from() -> None:
    weights = weights_of(LossWeights())
    assert [weights[name] for name in ("loss_macl", "loss_dhn", "loss_domain")] == [1.0, 0.5, 0.1]


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_term_that_is_not_finite_is_not_hidden(value: float, weight: float) -> None:
    terms = {"loss_classifier": torch.tensor(1.0), "loss_macl": torch.tensor(value)}
    found = total_loss(terms, LossWeights(macl=weight))
    assert not torch.isfinite(found.total)


def test_a_term_without_a_weight_is_refused() -> None:
    with pytest.raises(KeyError, match="loss_total"):
        total_loss({"loss_total": torch.tensor(1.0)}, WEIGHTS)
