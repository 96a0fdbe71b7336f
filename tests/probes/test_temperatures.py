"""Scales are found by their names, and read after each step."""

import math

import pytest
import torch
from torch import nn

from stepscope.evidence.losses import Temperature, Temperatures
from stepscope.probes.observation import Observation
from stepscope.probes.temperatures import TemperaturesProbe


def found(name: str, start: float, dtype: torch.dtype = torch.float32) -> tuple[Temperature, ...]:
    model = nn.Linear(2, 2, dtype=dtype)
    model.register_parameter(name, nn.Parameter(torch.tensor(start, dtype=dtype)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    observation = Observation([TemperaturesProbe], steps=10)
    with observation:
        for _ in range(2):
            optimizer.zero_grad()
            getattr(model, name).backward()
            optimizer.step()
    assert not observation.run.faults
    evidence = [each for each in observation.evidence if isinstance(each, Temperatures)]
    return evidence[0].temperatures if evidence else ()


@pytest.mark.parametrize(
    "name", ["logit_scale", "temperature", "tau", "log_tau", "logit_scale_region", "temp"]
)
def test_a_name_for_a_temperature_is_known(name: str) -> None:
    (scale,) = found(name, 2.0)
    assert scale.values == (1.5, 1.0)
    assert scale.exponential is ("log" in name)


@pytest.mark.parametrize("name", ["scale", "template", "taut", "attempt"])
def test_other_names_are_left_alone(name: str) -> None:
    assert found(name, 2.0) == ()


def test_half_precision_is_read_as_it_is_rounded() -> None:
    (scale,) = found("logit_scale", math.log(1 / 0.07) + 1.0, torch.bfloat16)
    assert scale.dtype == "bfloat16"
    assert scale.values[0] == torch.tensor(math.log(1 / 0.07) + 1.0).bfloat16().item() - 0.5
