"""The derivatives of a module, taken again on a copy, against those worked out by hand."""

import copy
import math
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, distributed, nn

from stepscope.evidence.gradient_paths import Proof
from stepscope.probes.live_run import LiveRun
from stepscope.trials.derivatives import DirectionalDerivatives


class By(nn.Module):
    """One parameter, 3, and a forward."""

    def __init__(self, function: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self.weight, x)


def taken(model: nn.Module, x: Tensor, upstream: float = 1.0) -> Proof | str:
    trial = DirectionalDerivatives(LiveRun(3))
    trial.ask(model, "model")
    trial.module_called(model, (x,), {})
    output = model(x)
    trial.module_returned(model, output)
    (upstream * output).sum().backward()
    trial.backward_returned()
    return trial.answer("model")


def proved(function: Callable[[Tensor, Tensor], Tensor], upstream: float = 1.0) -> Proof:
    proof = taken(By(function), torch.tensor([2.0]), upstream)
    assert isinstance(proof, Proof), proof
    return proof


def without_gradient(value: Tensor) -> Tensor:
    with torch.no_grad():
        return value * 1


def test_a_smooth_function_has_one_derivative_in_every_way() -> None:
    proof = proved(lambda w, x: torch.sin(w * x))
    assert proof.is_sure
    assert proof.reverse == pytest.approx(proof.forward, rel=1e-9)
    assert proof.share_lost < 1e-9


def test_half_of_a_square_is_lost_where_one_factor_has_no_gradient() -> None:
    proof = proved(lambda w, x: without_gradient(w * x) * (w * x))  # d(uv) = u dv + v du, u = v
    assert proof.is_sure
    assert proof.share_lost == pytest.approx(1 / 2, rel=1e-6)


def test_two_thirds_of_a_cube_are_lost_where_two_factors_have_no_gradient() -> None:
    proof = proved(lambda w, x: without_gradient((w * x) ** 2) * (w * x))
    assert proof.is_sure
    assert proof.share_lost == pytest.approx(2 / 3, rel=1e-6)


def test_the_derivative_grows_with_the_gradient_that_comes_from_above() -> None:
    one, ten = (proved(lambda w, x: w * x.sin(), upstream) for upstream in (1.0, 10.0))
    assert ten.reverse == pytest.approx(10 * one.reverse, rel=1e-6)
    assert ten.difference == pytest.approx(10 * one.difference, rel=1e-6)


def test_a_rounded_value_does_not_change_though_its_surrogate_says_so() -> None:
    def rounded(w: Tensor, x: Tensor) -> Tensor:
        value = w * x + 0.2
        return value + (value.round() - value).detach()

    proof = proved(rounded)
    assert proof.difference == 0
    assert math.isfinite(proof.reverse)
    assert abs(proof.reverse) > 0


def test_forward_mode_stops_at_detach_and_the_difference_does_not() -> None:
    proof = proved(lambda w, x: (w * x).detach() * (w * x))
    assert proof.forward == pytest.approx(proof.difference / 2, rel=1e-6)
    assert not proof.is_sure


def test_a_second_run_that_gives_something_else_proves_nothing() -> None:
    runs = iter(range(10))
    answer = taken(By(lambda w, x: w * x + next(runs)), torch.tensor([2.0]))
    assert answer == "a second run of the module does not give its output again"


def test_dropout_draws_the_same_numbers_again_and_none_of_the_programs() -> None:
    model = nn.Sequential(nn.Linear(8, 8), nn.Dropout(0.5))
    torch.manual_seed(0)
    model(torch.ones(2, 8))
    after = torch.get_rng_state()
    torch.manual_seed(0)
    proof = taken(model, torch.ones(2, 8))
    assert isinstance(proof, Proof)
    assert proof.share_lost < 1e-6
    assert torch.equal(torch.get_rng_state(), after)


def test_nothing_of_the_model_changes() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
    twin = copy.deepcopy(model)
    x = torch.arange(24.0).reshape(6, 4).sin()
    assert isinstance(taken(model, x), Proof)
    (1.0 * twin(x)).sum().backward()
    for mine, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(mine.grad, other.grad)
    for name, tensor in twin.state_dict().items():
        assert torch.equal(model.state_dict()[name], tensor)


def test_an_input_that_was_written_over_proves_nothing() -> None:
    def writing(w: Tensor, x: Tensor) -> Tensor:
        output = w * x.clone()
        x.add_(1)
        return output

    assert "written over" in str(taken(By(writing), torch.tensor([2.0])))


# --- several processes


@pytest.fixture
def group() -> Iterator[None]:
    distributed.init_process_group("gloo", store=distributed.HashStore(), rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("group")
def test_a_module_of_its_own_is_run_again_in_a_process_of_several() -> None:
    assert isinstance(taken(nn.Linear(2, 2), torch.ones(1, 2)), Proof)


@pytest.mark.usefixtures("group")
def test_a_forward_with_a_collective_is_not_run_again() -> None:
    def summed(w: Tensor, x: Tensor) -> Tensor:
        total = x.clone()
        distributed.all_reduce(total)
        return w * total

    answer = taken(By(summed), torch.tensor([2.0]))
    assert answer == "its forward takes part in collectives of several processes"


@pytest.mark.usefixtures("group")
def test_a_module_with_synchronised_statistics_is_not_run_again() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.SyncBatchNorm(2).eval())
    assert "SyncBatchNorm" in str(taken(model, torch.ones(3, 2)))
