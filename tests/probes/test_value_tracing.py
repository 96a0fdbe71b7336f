"""The tracer follows what trains, stays out of the way of everything else, and tells who writes."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from stepscope.evidence.gradient_paths import CutKind, GradientPaths
from stepscope.evidence.parameters import ParameterWrites, Write
from stepscope.probes.observation import Observation
from stepscope.session import every_probe

E = TypeVar("E")


def depth() -> int:
    return torch._C._len_torch_function_stack()


def observed(program: Callable[[], Any]) -> Observation:
    with Observation(every_probe(), steps=99) as observation:
        program()
    assert not observation.run.faults
    assert depth() == 0
    return observation


def evidence(observation: Observation, kind: type[E]) -> E:
    return next(each for each in observation.evidence if isinstance(each, kind))


def train(model: nn.Module, steps: int = 2, **extra: Any) -> None:
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, **extra)
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).square().sum().backward()
        optimizer.step()


# --- evaluation computes the same bits


class Attention(nn.Module):
    """An attention layer of torch, whose fused kernel a torch-function mode switches off."""

    def __init__(self) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.attention(x, x, x, need_weights=False)[0]


def encoder() -> nn.Module:
    layer = nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)
    return nn.TransformerEncoder(layer, 2)


FUSED = {"encoder": encoder, "layer": lambda: encoder().layers[0], "attention": Attention}


def evaluated(make: Callable[[], nn.Module], *, follow: bool) -> Tensor:
    torch.manual_seed(0)
    model, x = make().eval(), torch.randn(4, 7, 16)
    found = []

    def program() -> None:
        train(nn.Linear(4, 2))
        with torch.no_grad():
            found.append(model(x))

    if follow:
        observed(program)
    else:
        program()
    return found[0]


@pytest.mark.parametrize("name", FUSED)
def test_an_evaluation_between_steps_gives_the_same_bits(name: str) -> None:
    assert torch.equal(evaluated(FUSED[name], follow=True), evaluated(FUSED[name], follow=False))


class Under(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def test_a_mode_that_stayed_on_would_have_changed_the_bits() -> None:
    torch.manual_seed(0)
    model, x = encoder().eval(), torch.randn(4, 7, 16)
    with torch.no_grad():
        plain = model(x)
        with Under():
            followed = model(x)
    assert not torch.equal(plain, followed)


def test_a_frozen_encoder_in_a_model_that_trains_gives_the_same_bits() -> None:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = encoder().requires_grad_(False)
            self.head = nn.Linear(16, 2)
            self.found: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            self.encoder.eval()
            self.found.append(self.encoder(x).clone())
            return self.head(self.found[-1])

    def program() -> Tensor:
        torch.manual_seed(0)
        model = Model()
        optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.randn(4, 7, 16)).square().sum().backward()
            optimizer.step()
        return torch.stack(model.found)

    found: list[Tensor] = []
    observation = observed(lambda: found.append(program()))
    assert torch.equal(found[0], program())
    assert evidence(observation, GradientPaths).unreached == ()


# --- where the mode is, and where it is not


def test_the_mode_is_on_in_a_forward_and_off_in_backward_step_and_evaluation() -> None:
    seen: dict[str, int] = {}

    class Model(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            seen["training" if self.training else "evaluation"] = depth()
            result: Tensor = super().forward(x)
            if result.requires_grad:
                result.register_hook(lambda _: seen.update(backward=depth()))
            return result

    class Descent(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            seen["step"] = depth()
            super().step(closure)

    def program() -> None:
        model = Model(4, 2)
        seen["before"] = depth()
        optimizer = Descent(model.parameters(), lr=0.1)
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
        seen["between"] = depth()
        model.eval()
        with torch.no_grad():
            model(torch.ones(3, 4))
        seen["after evaluation"] = depth()

    observed(program)
    assert seen == {
        "before": 0, "training": 1, "backward": 0, "step": 0, "between": 1, "evaluation": 0,
        "after evaluation": 1,
    }  # fmt: skip


def test_every_closure_of_lbfgs_is_followed() -> None:
    depths: list[int] = []

    class Model(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            depths.append(depth())
            return super().forward(x)

    def program() -> None:
        model = Model(4, 2)
        optimizer = torch.optim.LBFGS(model.parameters(), max_iter=4)

        def closure() -> Tensor:
            optimizer.zero_grad()
            loss = model(torch.ones(3, 4)).square().sum() + model.weight.square().sum()
            loss.backward()
            return loss

        for _ in range(2):
            optimizer.step(closure)

    observed(program)
    assert len(depths) > 2
    assert set(depths) == {1}


def test_a_failed_step_and_a_failed_evaluation_end_no_following() -> None:
    class Model(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            if not self.training:
                raise KeyError
            assert depth() == 1
            return super().forward(x)

    class Descent(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            raise KeyError

    def program() -> None:
        model = Model(4, 2)
        optimizer = Descent(model.parameters(), lr=0.1)
        for _ in range(2):
            model.train()(torch.ones(3, 4)).sum().backward()
            with pytest.raises(KeyError):
                optimizer.step()
            with pytest.raises(KeyError), torch.no_grad():
                model.eval()(torch.ones(3, 4))
        model.train()(torch.ones(3, 4))

    observed(program)


def test_a_mode_and_a_device_of_the_program_are_where_it_put_them() -> None:
    calls: list[str] = []

    class Own(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            calls.append(func.__name__)
            return func(*args, **(kwargs or {}))

    def program() -> None:
        with torch.device("meta"):
            assert torch.empty(2).device.type == "meta"
            optimizer = torch.optim.SGD([nn.Parameter(torch.empty(2, device="cpu"))], lr=0.1)
            assert torch.empty(2).device.type == "meta"
        assert optimizer.param_groups
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        with Own():
            model(torch.ones(3, 4)).square().sum().backward()
            optimizer.step()
            calls.clear()
            torch.ones(2).neg()
            assert "neg" in calls
            with torch.device("cpu"):
                model(torch.ones(3, 4))
            assert depth() == 2
        assert depth() == 1

    observed(program)


def test_a_default_device_can_be_set_and_taken_back_at_any_time() -> None:
    def program() -> None:
        torch.set_default_device("meta")
        model = nn.Linear(4, 2, device="cpu")
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        assert torch.empty(2).device.type == "meta"
        model(torch.ones(3, 4, device="cpu")).sum().backward()
        optimizer.step()
        torch.set_default_device(None)
        assert torch.empty(2).device.type == "cpu"
        torch.set_default_device("cpu")
        model(torch.ones(3, 4)).sum().backward()
        torch.set_default_device(None)
        assert depth() == 1

    observed(program)


# --- who writes into parameters


def writes_of(program: Callable[[], Any]) -> tuple[Write, ...]:
    return evidence(observed(program), ParameterWrites).writes


def lerp(slow: Tensor, fast: Tensor) -> None:
    with torch.no_grad():
        slow.lerp_(fast, 0.5)


def into_data(slow: Tensor, fast: Tensor) -> None:
    slow.data.mul_(0.5).add_(fast.data, alpha=0.5)


def assigned(slow: Tensor, fast: Tensor) -> None:
    slow.data = 0.5 * slow.data + 0.5 * fast.data


def copied(slow: Tensor, fast: Tensor) -> None:
    with torch.no_grad():
        slow.copy_(0.5 * slow + 0.5 * fast)


def foreach(slow: Tensor, fast: Tensor) -> None:
    with torch.no_grad():
        torch._foreach_lerp_([slow], [fast], 0.5)


@pytest.mark.parametrize("average", [lerp, into_data, assigned, copied, foreach])
def test_a_teacher_that_follows_is_written_from_parameters(
    average: Callable[[Tensor, Tensor], None],
) -> None:
    kept = []

    def program() -> None:
        student = nn.Linear(4, 2)
        teacher = copy.deepcopy(student).requires_grad_(requires_grad=False)
        kept.append(teacher)
        optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
        for _ in range(2):
            optimizer.zero_grad()
            (student(torch.ones(3, 4)) - teacher(torch.ones(3, 4)) + 1).square().sum().backward()
            optimizer.step()
            average(teacher.weight, student.weight)

    written = writes_of(program)
    assert written
    assert {write.parameter.rpartition(".")[2] for write in written} == {"weight"}
    assert written[-1].from_parameters
    assert written[-1].at.file == __file__
    assert written[-1].at.function == average.__name__


def test_what_initialises_again_after_a_load_is_written_from_nothing(tmp_path: Path) -> None:
    kept = []

    def program() -> None:
        model = nn.Linear(4, 2)
        kept.append(model)
        torch.save(model.state_dict(), tmp_path / "weights.pt")
        model.load_state_dict(torch.load(tmp_path / "weights.pt"))
        nn.init.normal_(model.weight)
        train(model)

    written = [write for write in writes_of(program) if write.parameter == "weight"]
    assert [write.operation for write in written] == ["load_state_dict", "normal_"]
    assert not any(write.from_parameters for write in written)


def test_the_steps_of_an_optimizer_are_no_writes() -> None:
    kept = nn.Linear(4, 2)
    assert writes_of(lambda: train(kept, foreach=False)) == ()


# --- unusual tensors and modes


def cut_kinds(program: Callable[[], Any]) -> list[CutKind]:
    return [cut.kind for cut in evidence(observed(program), GradientPaths).cuts]


class Cutting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.encoder(x)
        return self.head(features)


def test_a_cut_is_seen_under_a_mode_of_the_program() -> None:
    def program() -> None:
        with Under():
            train(Cutting())

    assert cut_kinds(program) == [CutKind.NO_GRAD]


class Image(Tensor):
    """A subclass that stays one, as those of torchvision's tv_tensors do."""


def test_a_cut_is_seen_where_a_subclass_of_tensor_comes_in() -> None:
    def program() -> None:
        model = Cutting()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            model(torch.ones(3, 4).as_subclass(Image)).square().sum().backward()
            optimizer.step()

    assert cut_kinds(program) == [CutKind.NO_GRAD]


def test_sparse_tensors_are_no_obstacle() -> None:
    def program() -> None:
        model = Cutting()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        adjacency = torch.eye(3).to_sparse()
        for _ in range(2):
            torch.sparse.mm(adjacency, model(torch.ones(3, 4))).square().sum().backward()
            optimizer.step()

    assert cut_kinds(program) == [CutKind.NO_GRAD]
