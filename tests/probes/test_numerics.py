"""The module that is named is the one that made the first number which is not finite."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from stepscope.evidence.environment import NonFinite, Numerics
from stepscope.probes.numerics import NumericsProbe
from stepscope.probes.observation import Observation


class Apply(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return self.function(values)


def first(model: nn.Sequential, value: float = 1.0, steps: int = 1) -> NonFinite | None:
    observation = Observation([NumericsProbe], steps=1000)
    with observation:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.full((3, 4), value)).square().mean().backward()
            optimizer.step()
    assert observation.run.faults == []
    (numerics,) = observation.evidence
    assert isinstance(numerics, Numerics)
    assert numerics.losses_read == steps
    return next(iter(numerics.non_finite), None)


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize(
    ("function", "kind"),
    [
        (lambda x: (x * 0).log() * 0, "nan"),
        (lambda x: (x * 0 + 100).exp(), "inf"),
        (lambda x: x / (x * 0), "inf"),
        (lambda x: (-1 - x.abs()).sqrt(), "nan"),
    ],
)
def test_the_module_is_found_wherever_it_stands(
    place: int, function: Callable[[torch.Tensor], torch.Tensor], kind: str
) -> None:
    layers: list[nn.Module] = [nn.Linear(4, 4) for _ in range(4)]
    layers.insert(place, Apply(function))
    found = first(nn.Sequential(*layers))
    assert found is not None
    assert (found.module, found.what, found.inputs_finite) == (str(place), "output", True)
    assert found.kind in (kind, "nan")


def test_a_broken_parameter_is_named_and_not_those_that_follow() -> None:
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 4))
    model[1].weight.data[2, 3] = float("nan")
    found = first(model)
    assert found is not None
    assert (found.module, found.what, found.parameters_finite) == ("1", "parameter", False)


def test_a_broken_batch_is_not_blamed_on_a_module_within() -> None:
    found = first(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)), value=float("nan"))
    assert found is not None
    assert not found.inputs_finite


def test_a_gradient_is_named_by_the_last_module_that_has_it() -> None:
    layers = [nn.Linear(4, 4), Apply(lambda x: (x * 0).sqrt()), nn.Linear(4, 1)]
    found = first(nn.Sequential(*layers))
    assert found is not None
    assert (found.what, found.module, found.kind) == ("gradient", "0", "nan")


def test_a_finite_run_is_silent() -> None:
    assert first(nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1)), steps=3) is None


@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointed_values_are_not_computed_again_to_look_at_them(reentrant: bool) -> None:  # noqa: FBT001
    runs = []

    def function(values: torch.Tensor) -> torch.Tensor:
        runs.append(1)
        return (values * 0).log() * 0

    inner = nn.Sequential(nn.Linear(4, 4), Apply(function))

    def checkpointed(values: torch.Tensor) -> torch.Tensor:
        out = torch.utils.checkpoint.checkpoint(inner, values, use_reentrant=reentrant)
        assert isinstance(out, torch.Tensor)
        return out

    found = first(nn.Sequential(nn.Linear(4, 4), Apply(checkpointed)))
    assert found is not None
    assert len(runs) == 2  # forward, and once in the backward


def test_an_optimizer_may_step_within_a_forward() -> None:
    class Trainer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(4, 1)
            self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.optimizer.zero_grad()
            loss: torch.Tensor = self.model(x).sum()
            loss.backward()
            self.optimizer.step()
            return loss

    trainer = Trainer()
    with Observation([NumericsProbe]) as observation:
        for _ in range(3):
            trainer(torch.ones(2, 4))
    assert not observation.run.faults
    assert observation.run.step == 3
