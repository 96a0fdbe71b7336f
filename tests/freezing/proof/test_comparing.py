"""Frozen is not frozen at random: the bits are those of a checkpoint, or it is said that not."""

import copy
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from stepscope.evidence.freezing import Comparison, FreezeRecord
from stepscope.freezing import freeze
from stepscope.freezing.proof import Proof
from stepscope.freezing.proof.comparing import Checkpoint

State = dict[str, torch.Tensor]


def body() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 3, 3, bias=False), nn.BatchNorm2d(3))


def model() -> nn.Module:
    return nn.ModuleDict({"backbone": body(), "head": nn.Linear(3, 2)})


def compared(network: nn.Module, against: Checkpoint) -> tuple[Comparison, FreezeRecord]:
    proof = Proof(freeze(network, "backbone"), against=against)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the freeze of")
        proof.begin()
        record = proof.finish()
    (comparison,) = record.identical_to
    return comparison, record


NAMES = ("weight", "weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@pytest.mark.parametrize(
    ("rename", "strip", "prepend"),
    [
        (lambda name: name, "", ""),
        (lambda name: f"module.{name}", "", "module."),
        (lambda name: f"model.net.{name}", "", "model.net."),
        (lambda name: name.removeprefix("backbone."), "backbone.", ""),
    ],
)
def test_names_may_differ_by_a_prefix(
    rename: Callable[[str], str], strip: str, prepend: str
) -> None:
    network = model()
    state = {rename(name): value.clone() for name, value in network.state_dict().items()}
    comparison, record = compared(network, state)
    assert (comparison.strip, comparison.prepend) == (strip, prepend)
    assert tuple(name.rpartition(".")[2] for name in comparison.identical) == NAMES
    assert (comparison.different, comparison.absent) == ((), ())
    assert record.holds


def test_a_part_that_was_not_loaded_is_frozen_at_random() -> None:
    network, pretrained = model(), body()
    state = pretrained.state_dict()
    del state["1.num_batches_tracked"]
    comparison, record = compared(network, state)
    assert comparison.different == ("backbone.0.weight",)
    assert comparison.absent == ("backbone.1.num_batches_tracked",)
    assert set(comparison.identical) == {
        f"backbone.1.{name}" for name in ("weight", "bias", "running_mean", "running_var")
    }
    assert record.breaches == (
        "1 frozen tensors are not those of a state dict: backbone.0.weight",
        "1 frozen tensors are not in a state dict: backbone.1.num_batches_tracked",
    )


def test_what_moves_later_is_no_longer_that_of_the_checkpoint() -> None:
    network = model()
    proof = Proof(freeze(network, "backbone"), against=network.state_dict())
    proof.begin()
    nn.init.ones_(network["backbone"][1].bias)  # type: ignore[index]
    with pytest.warns(UserWarning, match=r"changed: backbone\.1\.bias"):
        record = proof.finish()
    assert record.identical_to[0].different == ("backbone.1.bias",)
    assert "backbone.1.bias" not in record.identical_to[0].identical


@pytest.mark.parametrize("of_the_model", [True, False])
def test_the_order_in_memory_makes_no_difference(of_the_model: bool, tmp_path: Path) -> None:  # noqa: FBT001
    network = model()
    other = copy.deepcopy(network).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    network, other = (other, network) if of_the_model else (network, other)
    torch.save(other.state_dict(), tmp_path / "weights.pth")
    for against in (tmp_path / "weights.pth", other.state_dict()):
        comparison, _ = compared(copy.deepcopy(network), against)
        assert comparison.different == ()
        assert "backbone.0.weight" in comparison.identical


def test_a_buffer_that_no_state_dictionary_has_is_not_missed() -> None:
    network = model()
    network["backbone"].register_buffer("cache", torch.ones(3), persistent=False)  # type: ignore[index, operator]
    comparison, record = compared(network, network.state_dict())
    assert record.holds
    assert "backbone.cache" in {each.name for each in record.tensors}
    assert "backbone.cache" not in comparison.identical


@pytest.mark.parametrize("kind", ["torch", "safetensors"])
def test_a_file_is_compared_without_being_loaded(kind: str, tmp_path: Path) -> None:
    network = model()
    state = {name: value.clone() for name, value in network.state_dict().items()}
    state["backbone.1.weight"][0] = 2.0
    path = tmp_path / f"pretrained.{kind}"
    if kind == "torch":
        torch.save({"state_dict": state, "epoch": 3}, path)
    else:
        save_file(state, path)
    comparison, _ = compared(network, path)
    assert comparison.checkpoint == str(path)
    assert comparison.different == ("backbone.1.weight",)
    assert len(comparison.identical) == len(NAMES) - 1
