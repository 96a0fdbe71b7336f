"""What lies inside of the wrappers of frameworks, without the frameworks."""

from typing import Any

import pytest
import torch
from torch import nn

from stepscope.adapters.unwrapping import models_of, optimizers_of


class Wrapper:
    """As Accelerate, Fabric and MMEngine wrap an optimizer, or Lightning under another name."""

    def __init__(self, inner: Any, name: str = "optimizer") -> None:
        setattr(self, name, inner)


def test_optimizers_are_those_of_torch_each_once() -> None:
    one, two = (torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.1) for _ in range(2))
    assert optimizers_of([one, two]) == (one, two)
    assert optimizers_of([Wrapper(Wrapper(one)), Wrapper(two, "_optimizer"), one]) == (one, two)
    assert optimizers_of([[one, Wrapper(two)]]) == (one, two)
    assert optimizers_of([{"critic": two, "generator": one}]) == (two, one)
    assert optimizers_of([]) == ()


def test_models_are_those_that_the_names_are_of() -> None:
    model, other = nn.Linear(1, 1), nn.Linear(1, 1)
    forwarding = nn.Module()
    forwarding._forward_module = nn.DataParallel(model)  # Fabric
    compiled = nn.Module()
    compiled._orig_mod = model  # `torch.compile`
    for wrapped in (model, nn.DataParallel(model), forwarding, compiled):
        assert models_of(wrapped) == {"": model}
    assert models_of({"g": nn.DataParallel(model), "d": other}) == {"g": model, "d": other}


@pytest.mark.parametrize("wrong", [None, [nn.Linear], {"g": "model"}])
def test_what_is_no_model_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"model is \w+; expected a torch.nn.Module, or a dict"):
        models_of(wrong)


@pytest.mark.parametrize("wrong", [None, 0.1, iter(())])
def test_what_is_no_optimizer_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"optimizer is \w+; expected a torch.optim.Optimizer"):
        optimizers_of([wrong])


def test_a_model_is_no_optimizer() -> None:
    with pytest.raises(TypeError, match=r"optimizer is Linear; expected a torch\.optim\.Optimizer"):
        optimizers_of([nn.Linear(1, 1)])
