"""What the parameters probe sees, against the tensors of the program."""

import gc
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from stepscope.core import Recording
from stepscope.evidence.parameters import Buffer, Buffers, Parameter, Parameters
from stepscope.probes import fingerprints as fingerprint_code
from stepscope.probes.observation import Observation
from stepscope.probes.parameters import ParametersProbe


def recorded(program: Callable[[], None]) -> Recording:
    gc.collect()  # models of other tests, which would be seen as long as they live
    observation = Observation([ParametersProbe], steps=100)
    with observation:
        program()
    assert observation.run.faults == []
    return Recording(*observation.evidence)


def parameter(recording: Recording, name: str) -> Parameter:
    parameters = recording.get(Parameters)
    assert parameters is not None
    found = parameters.named(name)
    assert found is not None
    return found


def buffer(recording: Recording, name: str) -> Buffer:
    buffers = recording.get(Buffers)
    assert buffers is not None
    return next(each for each in buffers.buffers if each.name == name)


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int = 3,
    between: Callable[[int], object] = lambda _: None,
) -> None:
    for step in range(steps):
        optimizer.zero_grad()
        model(torch.randn(6, 4)).square().sum().backward()
        optimizer.step()
        between(step)


def test_a_trained_parameter_changes_in_each_step_and_a_frozen_one_in_none() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 2))
        train(model, torch.optim.SGD(model[1].parameters(), lr=0.1))

    recording = recorded(program)
    trained, frozen = parameter(recording, "1.weight"), parameter(recording, "0.weight")
    assert len(trained.before) == len(trained.after) == 3
    assert all(one != other for one, other in zip(trained.before, trained.after, strict=True))
    assert trained.before[1:] == trained.after[:-1]
    assert trained.trainable
    assert not frozen.ever_changed
    assert frozen.frozen


def test_a_write_between_two_steps_is_seen_between_them() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4).requires_grad_(False), nn.Linear(4, 2))
        frozen = next(model[0].parameters())
        train(
            model,
            torch.optim.SGD(model[1].parameters(), lr=0.1),
            between=lambda step: frozen.data.add_(1.0) if step == 0 else None,
        )

    frozen = parameter(recorded(program), "0.weight")
    assert frozen.before[0] == frozen.after[0] != frozen.before[1] == frozen.after[1]
    assert not any(frozen.stepped)


def test_an_optimizer_that_moves_what_is_frozen_is_caught_in_its_step() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def freeze(step: int) -> None:
            model[0].requires_grad_(False)
            for each in model[0].parameters():
                each.grad = torch.zeros_like(each)
            optimizer.zero_grad = model[1].zero_grad  # type: ignore[method-assign]

        train(model, optimizer, between=freeze)

    moved = parameter(recorded(program), "0.weight")
    assert moved.requires_grad == (True, False, False)
    assert moved.stepped == (False, True, True)


def test_a_single_element_is_read_after_each_step() -> None:
    values: list[float] = []

    def program() -> None:
        scale = nn.Parameter(torch.tensor(2.0))
        optimizer = torch.optim.SGD([scale], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (scale * 3).backward()
            optimizer.step()
            values.append(float(scale.detach()))

    (found,) = recorded(program).get(Parameters).parameters  # type: ignore[union-attr]
    assert list(found.values) == values
    assert not found.in_module


def test_a_part_that_is_thawed_only_for_its_own_backward_counts_as_trained() -> None:
    def program() -> None:
        model = nn.Linear(4, 2).requires_grad_(False)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(2):
            inputs = torch.randn(3, 4)
            nn.Identity()(inputs)
            model.requires_grad_(True)
            model(inputs).sum().backward()
            model.requires_grad_(False)
            optimizer.step()

    assert parameter(recorded(program), "weight").requires_grad == (True, True)


def test_a_parameter_that_appears_later_has_entries_from_then_on() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

        def grow(step: int) -> None:
            if step == 0:
                model.append(nn.Linear(4, 2))
                optimizer.add_param_group({"params": model[1].parameters()})

        train(model, optimizer, between=grow)

    recording = recorded(program)
    assert len(parameter(recording, "0.weight").after) == 3
    assert len(parameter(recording, "1.weight").after) == 2


def test_tied_weights_are_one_parameter_with_two_names() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4))
        model[1].weight = model[0].weight
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))

    assert parameter(recorded(program), "0.weight").aliases == ("1.weight",)


def test_the_largest_move_of_running_statistics_is_measured_from_the_start() -> None:
    moves: list[float] = []

    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4))
        first = model[1].running_mean.clone()
        train(
            model,
            torch.optim.SGD(model.parameters(), lr=0.1),
            between=lambda _: moves.append(float((model[1].running_mean - first).abs().max())),
        )

    found = buffer(recorded(program), "1.running_mean")
    assert found.ever_changed
    assert found.largest_move == moves[-1]


def test_the_share_of_changed_elements_is_that_of_the_whole_small_tensor() -> None:
    def program() -> None:
        model = nn.Linear(4, 2, bias=False).bfloat16()
        with torch.no_grad():
            model.weight[0] = 1.0
            model.weight[1] = 0.0
        optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
        for _ in range(2):
            optimizer.zero_grad()
            model(torch.ones(1, 4, dtype=torch.bfloat16)).sum().backward()
            optimizer.step()

    found = parameter(recorded(program), "weight")
    assert found.share_changed == 0.5
    assert found.coarsest == 2.0**-7


def test_a_model_that_goes_while_it_is_read_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    model, known = nn.Linear(4, 2), [nn.Linear(4, 2)]
    find = ParametersProbe._find

    def losing(probe: ParametersProbe) -> list[Any]:
        found = find(probe)
        if found[0].is_open:  # the step is over
            known.clear()
            gc.collect()
        return found

    monkeypatch.setattr(ParametersProbe, "_find", losing)
    observation = Observation([ParametersProbe])
    with observation:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        known[0](torch.ones(1, 4)).sum().backward()
        train(model, optimizer, steps=1)
    assert not known
    assert not observation.run.faults


def test_the_first_entry_of_a_late_parameter_is_of_the_step_that_saw_it_first() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train(model, optimizer, steps=2)
        model.append(nn.Linear(4, 2))
        optimizer.add_param_group({"params": list(model[1].parameters())})
        train(model, optimizer, steps=2)

    recording = recorded(program)
    assert parameter(recording, "0.weight").first_step == 0
    late = parameter(recording, "1.weight")
    assert late.first_step == 2
    assert len(late.after) == 2


def test_no_share_of_changed_elements_is_given_where_none_was_measured() -> None:
    def program() -> None:
        model = nn.Linear(4, 2)
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))

    assert parameter(recorded(program), "weight").share_changed is None


def test_nothing_is_kept_for_fingerprints_after_the_recording() -> None:
    def program() -> None:
        model = nn.Linear(4, 2)
        train(model, torch.optim.SGD(model.parameters(), lr=0.1))
        assert fingerprint_code._layout.cache_info().currsize > 0

    recorded(program)
    assert fingerprint_code._layout.cache_info().currsize == 0
