"""What each variant does to the part, the optimizer and the output."""

import pytest
import torch
from torch import nn

from stepscope.evidence.savings import Variant
from stepscope.freezing.measuring.variants import apply

INPUT = torch.ones(2, 3)


def model_and_optimizer() -> tuple[nn.Sequential, torch.optim.Optimizer]:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 1))
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(("variant", "lr"), [(Variant.FULL, 0.1), (Variant.ZERO, 0.0)])
def test_the_part_trains_even_where_the_program_froze_it(variant: Variant, lr: float) -> None:
    model, optimizer = model_and_optimizer()
    model[0].requires_grad_(requires_grad=False)
    apply(variant, model, ["0"], optimizer)
    assert all(each.requires_grad for each in model.parameters())
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == {
        **{id(each): lr for each in model[0].parameters()},
        **{id(each): 0.1 for each in model[1:].parameters()},
    }


def test_the_cache_gives_the_first_output_of_each_shape_again() -> None:
    model, optimizer = model_and_optimizer()
    apply(Variant.CACHED, model, ["0"], optimizer)
    first = model[0](INPUT)
    assert model[0](2 * INPUT) is first
    assert model[0](torch.ones(7, 3)).shape == (7, 4)


def test_what_something_trainable_feeds_is_not_cached() -> None:
    model, optimizer = model_and_optimizer()
    apply(Variant.CACHED, model, ["1"], optimizer)
    with pytest.raises(ValueError, match="something that trains feeds the part"):
        model(INPUT)


def test_without_a_graph_the_output_hangs_on_nothing() -> None:
    model, optimizer = model_and_optimizer()
    frozen = apply(Variant.WITHOUT_GRAPH, model, ["0"], optimizer)
    assert frozen is not None
    model[0].requires_grad_()
    assert not model[0](INPUT).requires_grad
