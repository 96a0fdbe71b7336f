"""The derivatives of a module, taken again on a copy, against those worked out by hand."""

import copy
import math
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.utils.checkpoint import checkpoint

from stepscope.evidence.gradient_paths import Proof
from stepscope.probes.gradient_paths.paths import GradientPathsProbe
from stepscope.probes.live_run import LiveRun
from stepscope.probes.observation import Observation
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


# --- what the module holds


class Bank:
    """A plain object of the program, as a queue or a meter is."""

    def __init__(self) -> None:
        self.seen = 0
        self.mean = torch.zeros(4)

    def push(self, x: Tensor) -> None:
        self.seen += 1
        self.mean = 0.9 * self.mean + 0.1 * x.detach().mean(0)


class Remembering(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.score = nn.Linear(4, 4)
        self.banks = {"main": Bank()}

    def forward(self, x: Tensor) -> Tensor:
        self.banks["main"].push(x)
        mean = self.banks["main"].mean
        return without_gradient(self.score(x)) * self.score(x) + 1e-6 * mean


def test_a_plain_object_of_the_module_sees_only_the_programs_own_forward() -> None:
    model = Remembering()
    x = torch.arange(8.0).reshape(2, 4).cos()
    assert isinstance(taken(model, x), Proof)
    bank = model.banks["main"]
    assert bank.seen == 1
    assert torch.equal(bank.mean, 0.1 * x.mean(0))


def test_a_module_is_not_copied_with_what_cannot_be_copied() -> None:
    model = By(lambda w, x: w * x)
    model.lock = threading.Lock()  # type: ignore[assignment]
    assert str(taken(model, torch.ones(1))).startswith("the module cannot be copied: ")


def test_a_module_is_not_copied_with_what_ends_something_when_it_ends() -> None:
    class Closing:
        def __del__(self) -> None: ...

    model = By(lambda w, x: w * x)
    model.held = Closing()  # type: ignore[assignment]
    assert str(taken(model, torch.ones(1))).startswith("a Closing may end something")


def test_a_module_is_not_copied_with_a_function_that_calls_the_original() -> None:
    other = nn.Linear(1, 1)
    answer = taken(By(lambda w, x: w * other(x)), torch.ones(1))
    assert "reaches the original" in str(answer)


def test_hooks_of_a_module_held_in_a_list_do_not_run_again() -> None:
    class Holding(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))
            self.teachers = [nn.Linear(1, 1)]

        def forward(self, x: Tensor) -> Tensor:
            return self.weight * x + self.teachers[0](x).detach()

    model = Holding()
    runs: list[int] = []
    model.teachers[0].register_forward_hook(lambda *_: runs.append(1))
    assert isinstance(taken(model, torch.ones(1)), Proof)
    assert runs == [1]


def test_a_value_kept_from_the_forward_does_not_stand_in_the_way() -> None:
    class Keeping(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)
            self.kept: dict[str, Tensor] = {}

        def forward(self, x: Tensor) -> Tensor:
            self.kept["last"] = self.layer(x)
            return self.kept["last"] * 2

    assert isinstance(taken(Keeping(), torch.ones(1, 2)), Proof)


# --- which call is taken


class Halved(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return without_gradient(self.layer(x)) * self.layer(x)


def observed(step: Callable[[nn.Module, int], None], steps: int = 4) -> Proof | str:
    """Return the answer about `Halved` after steps of an ordinary loop."""
    model = Halved()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    trials: list[DirectionalDerivatives] = []

    def proving(run: LiveRun) -> GradientPathsProbe:
        trials.append(DirectionalDerivatives(run))
        trials[0].ask(model, "model")
        return GradientPathsProbe(run, trials[0])

    with Observation([proving], steps=steps + 1) as observation:
        for i in range(steps):
            optimizer.zero_grad()
            step(model, i)
            optimizer.step()
    assert not observation.run.faults
    return trials[0].answer("model")


def test_a_forward_that_no_backward_follows_gives_way_to_the_next() -> None:
    outputs: list[weakref.ref[Tensor]] = []

    def step(model: nn.Module, _: int) -> None:
        outputs.append(weakref.ref(model(torch.ones(2, 4))))
        loss = model(torch.ones(2, 4).cos()).sum()
        assert outputs[-1]() is None
        loss.backward()

    proof = observed(step)
    assert isinstance(proof, Proof)
    assert proof.share_lost == pytest.approx(1 / 2, rel=1e-4)


def test_a_call_is_let_go_at_the_end_of_its_step() -> None:
    outputs: list[weakref.ref[Tensor]] = []

    def step(model: nn.Module, _: int) -> None:
        assert all(output() is None for output in outputs)
        loss = sum((p**2).sum() for p in model.parameters())
        outputs.append(weakref.ref(model(torch.ones(2, 4))))
        assert isinstance(loss, Tensor)
        loss.backward()

    assert "did a backward follow" in str(observed(step))


def test_a_forward_run_again_within_the_backward_is_not_the_latest() -> None:
    def step(model: nn.Module, _: int) -> None:
        x = torch.ones(2, 4).cos().requires_grad_()
        checkpoint(model, x, use_reentrant=False).sum().backward()

    assert isinstance(observed(step), Proof)


def test_no_hook_stays_on_an_output() -> None:
    kept: list[Tensor] = []

    def step(model: nn.Module, _: int) -> None:
        kept.append(model(torch.ones(2, 4)))
        kept[-1].sum().backward()

    assert isinstance(observed(step), Proof)
    assert all(not output._backward_hooks for output in kept)


def test_hyperparameters_that_a_trainer_keeps_do_not_stand_in_the_way() -> None:
    class AttributeDict(dict[str, int]): ...

    AttributeDict.__module__ = "lightning.fabric.utilities.data"
    model = nn.Linear(1, 1)
    model.hparams = AttributeDict(width=1)  # type: ignore[assignment]
    assert isinstance(taken(model, torch.ones(1, 1)), Proof)
