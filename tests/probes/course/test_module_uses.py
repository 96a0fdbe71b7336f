"""Classes of modules are counted as they are built, and told when none of them is used."""

import copy
import io
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.module_uses import ModulesUsed, ModuleUse
from stepscope.probes.course.module_uses import ModuleUseSampler
from stepscope.probes.course.pulse import Pulse


class Idle(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 2)
        self.margin = 0.2

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.fc(x)
        return out

    def loss(self, x: Tensor) -> Tensor:
        return x.sum()


class Loss(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.square().mean()


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 1)
        self.idle = Idle()
        self.loss = Loss()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.loss(self.head(x))
        return out


def told(program: Callable[[], object], *, is_whole: bool = True) -> ModulesUsed:
    lines: list[Line] = []
    pulse = Pulse([ModuleUseSampler], line=lines.append, every=1)
    pulse.run.is_whole = is_whole
    with pulse:
        program()
    assert not pulse.run.faults
    (said,) = [each for line in lines for each in line.happened if isinstance(each, ModulesUsed)]
    return said


def use(said: ModulesUsed, kind: type) -> ModuleUse | None:
    return next((each for each in said.modules if each.kind == kind.__name__), None)


def train(model: Model, steps: int = 5, between: Callable[[Model], object] = bool) -> None:
    optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
    for step in range(steps):
        optimizer.zero_grad()
        model(torch.ones(3, 2)).backward()
        optimizer.step()
        if step:
            between(model)


def test_what_is_built_and_never_called_is_told_and_what_is_called_is_not() -> None:
    said = told(lambda: train(Model()))
    assert use(said, Idle) == ModuleUse(kind="Idle", built=1, used=False)
    assert use(said, Loss) == ModuleUse(kind="Loss", built=1, used=True)
    assert use(said, Model) == ModuleUse(kind="Model", built=1, used=True)
    assert said.others == ("Linear",)
    assert "__getattribute__" not in vars(Idle)


def test_every_use_of_a_module_counts() -> None:
    uses: list[Callable[[Model], object]] = [
        lambda model: model.idle(torch.ones(1, 2)),
        lambda model: model.idle.forward(torch.ones(1, 2)),
        lambda model: model.idle.loss(torch.ones(1, 2)),
        lambda model: model.idle.fc.weight,
    ]
    for each in uses:
        said = told(lambda each=each: train(Model(), between=each))  # type: ignore[misc]
        assert use(said, Idle) == ModuleUse(kind="Idle", built=1, used=True)


def test_what_is_done_with_all_modules_is_no_use() -> None:
    def between(model: Model) -> None:
        model.train().eval().to("cpu").requires_grad_(requires_grad=True)
        model.load_state_dict(model.state_dict())
        torch.save(model.state_dict(), io.BytesIO())
        repr(model)
        copy.deepcopy(model.state_dict())
        [*model.named_parameters(), *model.modules()]

    said = told(lambda: train(Model(), between=between))
    assert use(said, Idle) == ModuleUse(kind="Idle", built=1, used=False)


def test_a_plain_attribute_is_no_use() -> None:
    said = told(lambda: train(Model(), between=lambda model: model.idle.margin))
    assert use(said, Idle) == ModuleUse(kind="Idle", built=1, used=False)


def test_a_gradient_in_the_first_step_is_a_use() -> None:
    def program() -> None:
        model = Model()
        model.idle.fc.weight.grad = torch.zeros(2, 2)
        train(model)

    assert use(told(program), Idle) == ModuleUse(kind="Idle", built=1, used=True)


def test_a_call_before_the_first_step_is_a_use() -> None:
    def program() -> None:
        model = Model()
        model.idle(torch.ones(1, 2))
        train(model)

    assert use(told(program), Idle) == ModuleUse(kind="Idle", built=1, used=True)


def test_four_steps_say_that_something_is_idle_and_three_do_not() -> None:
    three, four = (told(lambda n=n: train(Model(), n)) for n in (3, 4))  # type: ignore[misc]
    assert use(three, Idle) == ModuleUse(kind="Idle", built=1, used=None)
    assert use(four, Idle) == ModuleUse(kind="Idle", built=1, used=False)


def test_one_that_is_copied_or_unpickled_is_built() -> None:
    said = told(lambda: train(copy.deepcopy(Model())))
    assert use(said, Idle) == ModuleUse(kind="Idle", built=2, used=False)


def test_one_that_is_built_when_the_training_goes_is_looked_at_too() -> None:
    class Late(nn.Module):
        pass

    late: list[nn.Module] = []

    def between(_: Model) -> None:
        if not late:
            late.append(Late())

    said = told(lambda: train(Model(), steps=7, between=between))
    assert use(said, Late) == ModuleUse(kind="Late", built=1, used=False)


def test_where_only_the_training_is_watched_the_models_are_looked_through() -> None:
    model = Model()
    said = told(lambda: train(model), is_whole=False)
    assert not said.is_whole
    assert "__getattribute__" not in vars(Idle)
    assert use(said, Idle) == ModuleUse(kind="Idle", built=1, used=False)


def test_nothing_is_known_of_calls_once_the_program_compiles() -> None:
    def program() -> None:
        torch.compile(lambda x: x)
        train(Model())

    def later() -> None:
        train(Model(), between=lambda _: torch.compile(lambda x: x))
        assert "__getattribute__" not in vars(Idle)

    for each in (program, later):
        assert use(told(each), Idle) == ModuleUse(kind="Idle", built=1, used=None)


def test_a_program_that_is_watched_computes_the_same_bits() -> None:
    def trained() -> tuple[Any, ...]:
        torch.manual_seed(0)
        model = Model()
        train(model)
        return *(each.tolist() for each in model.parameters()), torch.rand(1).item()

    expected = trained()
    kept: list[Any] = []
    told(lambda: kept.extend(trained()))
    assert tuple(kept) == expected
    assert "__init__" in vars(nn.Module)
    assert not nn.modules.module._global_forward_pre_hooks
