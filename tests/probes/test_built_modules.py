"""The classes of modules that are made, copied or loaded are noted by name."""

import copy

import torch
from torch import nn

from stepscope.evidence.built_modules import BuiltModules
from stepscope.probes.built_modules import BuiltModulesProbe
from stepscope.probes.observation import Observation


class Bank(nn.Module):
    pass


class Unbuilt(nn.Module):
    pass


def test_what_is_built_is_noted_and_what_is_only_defined_is_not() -> None:
    earlier = Bank()
    with Observation([BuiltModulesProbe], steps=1, is_window=True) as observation:
        copy.deepcopy(earlier)
        layer = nn.Linear(2, 1)
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        layer(torch.ones(1, 2)).sum().backward()
        optimizer.step()
    (said,) = [each for each in observation.evidence if isinstance(each, BuiltModules)]
    assert said.kinds == ("Bank", "Linear")
