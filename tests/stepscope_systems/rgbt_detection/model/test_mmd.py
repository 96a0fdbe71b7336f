"""The domain term against a naive double loop."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from stepscope_systems.rgbt_detection.model.mmd import squared_mmd

pytestmark = pytest.mark.corpus


def naive(first: Tensor, second: Tensor, bandwidth: float) -> float:
    def kernel(x: Tensor, y: Tensor) -> float:
        return math.exp(-float((x - y).square().sum()) / (2 * bandwidth**2))

    def within(rows: Tensor) -> float:
        pairs = [kernel(x, y) for i, x in enumerate(rows) for j, y in enumerate(rows) if i != j]
        return sum(pairs) / len(pairs)

    across = [kernel(x, y) for x in first for y in second]
    return within(first) + within(second) - 2 * sum(across) / len(across)


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 3)])
@pytest.mark.parametrize("bandwidth", [0.5, 1.0])
def test_the_estimate_equals_a_naive_double_loop(n: int, m: int, bandwidth: float) -> None:
    first, second = torch.randn(n, 4), torch.randn(m, 4) + 0.5
    expected = naive(first, second, bandwidth)
    assert float(squared_mmd(first, second, bandwidth)) == pytest.approx(expected, abs=1e-6)


def test_the_estimate_is_unbiased_where_both_come_from_one_distribution() -> None:
    estimates = torch.stack([squared_mmd(torch.randn(4, 3), torch.randn(4, 3)) for _ in range(500)])
    # A biased one, with each row beside itself, is above 0.25 here.
    assert abs(float(estimates.mean())) < 4 * float(estimates.std()) / math.sqrt(500)
    assert estimates.min() < 0


def test_two_normal_distributions_lie_as_far_apart_as_the_closed_form_says() -> None:
    # x - y is normal with variance 2 around the distance of the means.
    far = 3 ** (-3 / 2) * math.exp(-3 / (2 * 3))
    expected = 2 * (3 ** (-3 / 2) - far)
    found = squared_mmd(torch.randn(1_000, 3), torch.randn(1_000, 3) + 1)
    assert found.item() == pytest.approx(expected, rel=0.1)


def test_the_gradient_is_finite_where_rows_are_equal() -> None:
    row = functional.normalize(torch.ones(3, 4), dim=1).requires_grad_()
    squared_mmd(row, row.detach()).backward()
    assert row.grad is not None
    assert torch.isfinite(row.grad).all()
