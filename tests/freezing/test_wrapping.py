"""Freezing and the wrappers that spread a model over processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import distributed, nn
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

import stepscope

Train = Callable[..., None]


@pytest.fixture
def one_process(tmp_path: Path) -> Iterator[None]:
    store = f"file://{tmp_path / 'store'}"
    distributed.init_process_group("gloo", init_method=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.usefixtures("one_process")
def test_a_wrapped_model_is_refused_and_told_the_order(network: nn.Module) -> None:
    wrapped = DistributedDataParallel(network)
    with pytest.raises(
        TypeError, match=r"wrapped in DistributedDataParallel already.*freeze the model first"
    ):
        stepscope.freeze(wrapped, "module.backbone")
    assert all(each.requires_grad for each in network.parameters())


@pytest.mark.usefixtures("one_process")
def test_a_frozen_model_trains_under_the_wrapper(network: nn.Module, train: Train) -> None:
    frozen = stepscope.freeze(network, "backbone")
    wrapped = DistributedDataParallel(network)
    before = [each.clone() for each in network.backbone.state_dict().values()]
    train(wrapped, torch.optim.SGD(frozen.parameter_groups(lr=0.1)))
    after = network.backbone.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.usefixtures("one_process")
def test_a_fully_sharded_model_may_be_frozen(network: nn.Module, train: Train) -> None:
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh("cpu", (1,))
    fully_shard(network, mesh=mesh)
    frozen = stepscope.freeze(network, "backbone")
    before = [each.to_local().clone() for each in network.backbone.parameters()]
    train(network, torch.optim.SGD(frozen.parameter_groups(lr=0.1)))
    after = [each.to_local() for each in network.backbone.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert all(each.grad is None for each in network.backbone.parameters())


@pytest.mark.filterwarnings("ignore:Guards may run slower")  # torch 2.8 on Python 3.13.0
def test_a_compiled_model_is_frozen_by_the_names_of_what_it_wraps(
    network: nn.Module, train: Train
) -> None:
    compiled = torch.compile(network, backend="eager")
    frozen = stepscope.freeze(compiled, "backbone")
    before = [each.clone() for each in network.backbone.state_dict().values()]
    train(compiled, torch.optim.SGD(frozen.parameter_groups(lr=0.1)))
    after = network.backbone.state_dict().values()
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
    assert frozen.parameters[0] == "backbone.0.weight"
