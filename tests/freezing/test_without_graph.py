"""Running the frozen part without a graph."""

import copy

import torch
from torch import nn

import stepscope
from stepscope.freezing.without_graph import without_graph


def test_the_rest_trains_bit_by_bit_as_with_the_graph(network: nn.Module) -> None:
    other = copy.deepcopy(network)
    for each in (network, other):
        frozen = stepscope.freeze(each, "backbone", "neck")
        if each is network:
            without_graph(frozen)
        torch.manual_seed(1)
        each.train()(torch.randn(6, 4)).square().mean().backward()
    assert not network.backbone(torch.randn(2, 4)).requires_grad
    assert torch.equal(network.head.weight.grad, other.head.weight.grad)


def test_a_gradient_that_passes_through_is_not_cut(network: nn.Module) -> None:
    without_graph(stepscope.freeze(network, "neck", "head"))
    network.train()(torch.randn(6, 4)).square().mean().backward()
    assert network.backbone[0].weight.grad is not None


def test_undoing_leaves_no_trace(network: nn.Module) -> None:
    before = {name: set(vars(module)) for name, module in network.named_modules()}
    frozen = stepscope.freeze(network, "backbone", "neck")
    undo = without_graph(frozen)
    undo()
    frozen.undo()
    assert {name: set(vars(module)) for name, module in network.named_modules()} == before
    assert network(torch.randn(6, 4)).requires_grad
