"""What runs for its graph alone is not looked at, and comes out as without the observer."""

import copy
import io
import pickle
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from stepscope.probes.observation import Observation
from stepscope.session import every_probe


def step(model: nn.Module, optimizer: torch.optim.Optimizer) -> Tensor:
    optimizer.zero_grad()
    loss: Tensor = model(torch.ones(3, 4)).square().mean()
    loss.backward()
    optimizer.step()
    return loss


def traced(model: nn.Module) -> object:
    graph = torch.jit.trace(model, torch.ones(3, 4)).inlined_graph
    return [node.kind() for node in graph.nodes()]


def exported(model: nn.Module) -> object:
    return torch.export.export(model, (torch.ones(3, 4),)).graph_module.code


def symbolically_traced(model: nn.Module) -> object:
    return torch.fx.symbolic_trace(nn.Sequential(model)).code


def differentiated(model: nn.Module) -> object:
    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        return torch.func.functional_call(model, parameters, (x,)).square().mean()

    gradient = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))
    return gradient(dict(model.named_parameters()), torch.ones(5, 4))["weight"].tolist()


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
@pytest.mark.parametrize("trace", [traced, exported, symbolically_traced, differentiated])
def test_tracing_between_the_steps_gives_what_it_gives_without_observer(
    trace: Callable[[nn.Module], object],
) -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    expected = trace(model)
    observation = Observation(every_probe(), steps=9)
    with observation:
        step(model, optimizer)
        assert trace(model) == expected
        step(model, optimizer)
    assert not observation.run.faults
    assert observation.run.step == 2


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
def test_a_traced_module_and_a_model_without_data_can_be_trained() -> None:
    observation = Observation(every_probe(), steps=9)
    with observation:
        scripted = torch.jit.trace(nn.Linear(4, 2), torch.ones(3, 4))
        step(scripted, torch.optim.SGD(scripted.parameters(), lr=0.1))
        with torch.device("meta"):
            empty = nn.Linear(4, 2)
            step(empty, torch.optim.SGD(empty.parameters(), lr=0.1))
    assert not observation.run.faults
    assert observation.run.step == 2


def test_nothing_of_the_observer_travels_with_what_the_program_saves_or_copies() -> None:
    model = nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    observation = Observation(every_probe(), steps=9)
    with observation:
        for _ in range(2):
            loss = step(model, optimizer)
            for thing in (model, optimizer, loss.detach(), loss.data, model.weight.grad):
                assert b"stepscope" not in pickle.dumps(copy.deepcopy(thing))
                saved = io.BytesIO()
                torch.save(thing, saved)
                assert b"stepscope" not in saved.getvalue()
    assert observation.run.step == 2
