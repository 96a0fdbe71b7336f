"""A class is looked at until a module of it is used, and is then what it was."""

from typing import Any

import torch
from torch import nn

from stepscope.probes.course.unused import UnusedClass


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("queue", torch.zeros(3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Special(Plain):
    """With a look-up of its own."""

    asked: tuple[str, ...] = ()

    def __getattribute__(self, name: str) -> Any:
        if name == "answer":
            return 42
        return super().__getattribute__(name)


def test_the_first_use_gives_the_class_back() -> None:
    module = Plain()
    before = dict(vars(Plain))
    unused = UnusedClass(Plain, since=3)
    assert not unused.is_used
    assert module.queue.shape == (3,)
    assert unused.is_used
    assert unused.since == 3
    assert dict(vars(Plain)) == before


def test_to_let_go_gives_it_back_unused_and_twice_is_once() -> None:
    before = dict(vars(Plain))
    unused = UnusedClass(Plain, since=0)
    unused.let_go()
    unused.let_go()
    Plain()(torch.ones(1))
    assert not unused.is_used
    assert dict(vars(Plain)) == before


def test_a_look_up_of_its_own_goes_on_and_comes_back() -> None:
    own = vars(Special)["__getattribute__"]
    unused = UnusedClass(Special, since=0)
    module = Special()
    assert module.answer == 42
    assert not hasattr(module, "absent")
    assert not unused.is_used
    module(torch.ones(1))
    assert unused.is_used
    assert vars(Special)["__getattribute__"] is own


def test_a_use_of_a_subclass_counts_for_its_class() -> None:
    class Below(Plain):
        pass

    unused = UnusedClass(Plain, since=0)
    Below()(torch.ones(1))
    assert unused.is_used
