"""Modes, calls and evaluation passes, as a reader of the program would tell them."""

import contextlib
from collections.abc import Callable
from typing import TypeVar

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from stepscope.core import Evidence
from stepscope.evidence.modules import EvaluationPasses, Module, Modules
from stepscope.evidence.normalisation import NormalisationCall, NormalisationCalls
from stepscope.probes.evaluation_passes import EvaluationPassesProbe
from stepscope.probes.modules import ModulesProbe
from stepscope.probes.normalisation import NormalisationProbe
from stepscope.probes.observation import Observation

E = TypeVar("E", bound=Evidence)


def seen(kind: type[E], program: Callable[[], None]) -> E:
    probes = (ModulesProbe, EvaluationPassesProbe, NormalisationProbe)
    observation = Observation(probes, steps=100)
    with observation:
        program()
    assert observation.run.faults == []
    return next(each for each in observation.evidence if isinstance(each, kind))


def module(modules: Modules, name: str) -> Module:
    found = modules.named(name)
    assert found is not None
    return found


def model_with_dropout() -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.25), nn.BatchNorm1d(4))


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    model(torch.randn(6, 4)).square().sum().backward()
    optimizer.step()


def test_the_mode_of_each_step_is_that_of_its_forward() -> None:
    def program() -> None:
        model = model_with_dropout()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        step(model, optimizer)
        model[1].eval()
        step(model, optimizer)
        model.eval()
        step(model, optimizer)

    modules = seen(Modules, program)
    assert module(modules, "").training == (True, True, False)
    assert module(modules, "1").training == (True, False, False)
    assert module(modules, "1").drop == 0.25
    assert module(modules, "2").normalisation
    assert module(modules, "0").calls == 3


def test_a_module_that_did_not_run_has_no_mode() -> None:
    def program() -> None:
        model = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        step(model[0], optimizer)

    assert module(seen(Modules, program), "1").training == (None,)


def test_an_evaluation_between_two_steps_is_no_training_forward() -> None:
    def program() -> None:
        model = model_with_dropout()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            model.train()
            step(model, optimizer)
            model.eval()
            with torch.no_grad():
                model(torch.randn(6, 4))

    root = module(seen(Modules, program), "")
    assert root.training == (True, True)
    assert root.calls == 2


def test_a_recomputation_in_backward_is_no_second_call() -> None:
    def program() -> None:
        from torch.utils.checkpoint import checkpoint

        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        checkpoint(model, torch.randn(3, 4), use_reentrant=False).sum().backward()
        optimizer.step()

    assert module(seen(Modules, program), "0").calls == 1


def test_an_input_without_elements_is_counted() -> None:
    def program() -> None:
        model = nn.Linear(4, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        (model(torch.randn(0, 4)).sum() + model(torch.randn(1, 4)).sum()).backward()
        optimizer.step()

    root = module(seen(Modules, program), "")
    assert (root.calls, root.empty_calls) == (2, 1)


def test_mode_calls_are_the_outermost_ones_with_their_lines() -> None:
    def program() -> None:
        model = model_with_dropout()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model[1].eval()
        step(model, optimizer)
        model.train()
        model[0].requires_grad_(False)
        step(model, optimizer)

    calls = seen(Modules, program).mode_calls
    first = program.__code__.co_firstlineno
    assert [(c.module, c.call, c.at.line - first, c.at.step) for c in calls] == [
        ("1", "eval()", 3, 0),
        ("", "train()", 5, 1),
        ("0", "requires_grad_(False)", 6, 1),
    ]
    assert all(call.direct for call in calls)


def test_a_plain_attribute_that_looks_like_torchs_is_found() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 2))
        model[0].requires_grad = False  # type: ignore[assignment]
        step(model, torch.optim.SGD(model.parameters(), lr=0.1))

    modules = seen(Modules, program)
    assert module(modules, "0").shadowing == ("requires_grad=False",)
    assert module(modules, "").shadowing == ()


def test_everything_is_put_back() -> None:
    before = [nn.Module.train, nn.Module.eval, nn.Module.requires_grad_, nn.Module._call_impl]
    seen(Modules, lambda: step(m := nn.Linear(4, 2), torch.optim.SGD(m.parameters(), lr=0.1)))
    after = [nn.Module.train, nn.Module.eval, nn.Module.requires_grad_, nn.Module._call_impl]
    assert before == after


def test_a_pass_is_told_from_training_by_its_loader() -> None:
    def program() -> None:
        model = model_with_dropout()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
        valid = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
        for (batch,) in train:
            with torch.no_grad():
                model(batch)
            optimizer.zero_grad()
            model(batch).sum().backward()
            optimizer.step()
        model.eval()
        model[1].train()
        with torch.no_grad():
            for (batch,) in valid:
                model(batch)

    passes = seen(EvaluationPasses, program).passes
    assert [(p.training, p.other_loader, p.sensitive) for p in passes] == [
        (True, False, ("1", "2")),
        (False, True, ("1",)),
    ]


def normalisation(layer: nn.Module, *shapes: tuple[int, ...]) -> NormalisationCall:
    def program() -> None:
        scale = nn.Parameter(torch.ones(()))
        model = nn.ModuleList([layer])
        model.register_parameter("scale", scale)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        total = scale * 1.0
        for shape in shapes:
            with contextlib.suppress(ValueError):
                total = total + layer(torch.randn(shape) * scale).sum()
        total.backward()
        optimizer.step()

    (call,) = seen(NormalisationCalls, program).calls
    return call


def test_values_for_each_statistic_follow_from_the_shape() -> None:
    assert normalisation(nn.BatchNorm2d(3), (4, 3, 5, 5)).fewest_values == 100
    assert normalisation(nn.BatchNorm1d(3), (4, 3), (2, 3)).fewest_values == 2
    assert normalisation(nn.InstanceNorm2d(3), (4, 3, 5, 5)).fewest_values == 25
    assert normalisation(nn.InstanceNorm1d(3), (3, 7)).fewest_values == 7
    assert normalisation(nn.GroupNorm(2, 6), (4, 6, 5)).fewest_values == 15
    assert normalisation(nn.LayerNorm((3, 5)), (4, 3, 5)).fewest_values == 15
    assert normalisation(nn.BatchNorm1d(3).eval(), (1, 3)).fewest_values == 0


def test_a_layer_that_refuses_one_row_is_said_to_have_raised() -> None:
    call = normalisation(nn.BatchNorm1d(3), (4, 3), (1, 3))
    assert (call.fewest_values, call.raised, call.calls) == (1, True, 2)
    assert not normalisation(nn.GroupNorm(3, 3), (2, 3)).raised
