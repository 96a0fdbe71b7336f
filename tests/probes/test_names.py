"""Tensors and modules have the names that their owners know them by."""

import gc
import weakref

import pytest
import torch
from torch import nn

from stepscope.probes.names import Names


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
        self.head = nn.Linear(2, 2)


@pytest.fixture(autouse=True)
def _no_modules_of_other_tests() -> None:
    gc.collect()


def test_the_only_trained_root_gives_the_names_of_named_parameters() -> None:
    net, teacher = Net(), Net()
    names = Names(net.parameters)
    assert [names.tensor(p) for p in net.parameters()] == [n for n, _ in net.named_parameters()]
    assert names.module(net) == ""
    assert names.module(net.backbone[1]) == "backbone.1"
    assert names.tensor(teacher.head.weight) == "teacher.head.weight"


def test_two_trained_roots_are_led_by_their_variables() -> None:
    generator, critic = Net(), Net()
    names = Names(lambda: [*generator.parameters(), *critic.parameters()])
    assert names.tensor(generator.head.bias) == "generator.head.bias"
    assert names.tensor(critic.head.bias) == "critic.head.bias"


def test_a_root_that_is_given_gives_the_names_whatever_holds_it() -> None:
    net, other = Net(), Net()
    holder = nn.ModuleList([net, nn.Linear(3, 3)])
    names = Names(lambda: [*holder.parameters(), *other.parameters()])
    names.give({"": net})
    assert [names.tensor(p) for p in net.parameters()] == [n for n, _ in net.named_parameters()]
    assert names.module(net.backbone[1]) == "backbone.1"
    assert names.tensor(other.head.bias) == "other.head.bias"
    assert names.tensor(holder[1].bias) == "holder.1.bias"
    names = Names(lambda: [*net.parameters(), *other.parameters()])
    names.give({"student": net, "teacher": other})
    assert names.tensor(net.head.bias) == "student.head.bias"
    assert names.tensor(other.head.bias) == "teacher.head.bias"


def test_wrappers_add_nothing() -> None:
    net = Net()
    wrapped = nn.DataParallel(net)
    names = Names(net.parameters)
    assert names.tensor(net.head.bias) == "head.bias"
    assert names.module(wrapped) == names.module(net) == ""


def test_tied_weights_have_one_name_and_its_aliases() -> None:
    net = Net()
    net.head.weight = net.backbone[0].weight  # type: ignore[assignment]
    names = Names(net.parameters)
    assert names.tensor(net.head.weight) == "backbone.0.weight"
    assert names.aliases(net.head.weight) == ("head.weight",)


def test_a_slice_of_a_model_is_no_model_of_its_own() -> None:
    net = Net()
    part = net.backbone[:1]
    layers = nn.ModuleList(net.children())
    names = Names(net.parameters)
    assert names.tensor(net.backbone[0].weight) == "backbone.0.weight"
    assert names.module(net.head) == "head"
    assert names.roots() == [net]
    assert part is not None
    assert layers is not None


def test_settled_names_stay_when_a_new_root_appears() -> None:
    net = Net()
    names = Names(net.parameters)
    names.grow_stale(settle=True)
    assert names.tensor(net.head.bias) == "head.bias"
    outer = nn.ModuleDict({"net": net, "new": nn.Linear(2, 2)})
    names.grow_stale()
    assert names.tensor(outer["new"].weight).endswith("new.weight")
    assert names.tensor(net.head.bias) == "head.bias"


@pytest.mark.parametrize("is_called", [False, True])
def test_a_root_that_a_forward_makes_is_there_once_it_was_called(*, is_called: bool) -> None:
    net = Net()
    names = Names(net.parameters)
    names.grow_stale(settle=True)
    assert names.roots() == [net]
    made = {"projector": nn.Linear(2, 2)}
    if is_called:
        names.called_within(made["projector"])
    names.grow_stale()
    assert (made["projector"] in names.roots()) is is_called
    assert names.tensor(net.head.bias) == "head.bias"


def test_a_tensor_of_no_module_keeps_the_name_it_is_given() -> None:
    loose = torch.zeros(3, requires_grad=True)
    names = Names(lambda: [loose])
    first = names.tensor(loose)
    names.grow_stale()
    assert names.tensor(loose) == first
    assert "(3,)" in first


def test_a_model_that_the_collector_does_not_list_is_found_once_it_was_called() -> None:
    net = Net()
    names = Names(net.parameters)
    gc.collect()
    gc.freeze()
    try:
        names.called(net)
        assert names.tensor(net.head.bias) == "head.bias"
    finally:
        gc.unfreeze()


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_views_of_the_same_tensors_the_one_called_first_gives_the_names(first: int) -> None:
    layer = nn.Linear(2, 2)
    views = [nn.ModuleDict({"left": layer}), nn.ModuleDict({"right": layer})]
    names = Names(layer.parameters)
    names.called(views[first])
    names.called(views[1 - first])
    assert names.tensor(layer.bias) == ["left.bias", "right.bias"][first]


def test_no_variable_is_kept_alive() -> None:
    one, two = Net(), Net()
    held = Net()
    gone = weakref.ref(held)
    Names(lambda: [*one.parameters(), *two.parameters()]).refresh()
    del held
    gc.collect()
    assert gone() is None
