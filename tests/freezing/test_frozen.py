"""What a freeze holds, and that its end puts everything back."""

import copy
import io
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import stepscope

Train = Callable[..., None]
Make = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: tuple[Make, ...] = (
    lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, foreach=True),
    lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1, fused=True),
    lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, nesterov=True, weight_decay=0.1),
    lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    lambda p: torch.optim.NAdam(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.RAdam(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.Adagrad(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.Adadelta(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.Adamax(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.ASGD(p, lr=0.01, weight_decay=0.1),
    lambda p: torch.optim.Rprop(p, lr=0.01),
    lambda p: torch.optim.Adafactor(p, lr=0.01, weight_decay=0.1),
)


def bits(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def changed(before: dict[str, torch.Tensor], model: nn.Module) -> set[str]:
    return {
        name for name, value in model.state_dict().items() if not torch.equal(value, before[name])
    }


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_not_a_bit_of_a_frozen_part_moves_whatever_the_optimizer(
    network: nn.Module, train: Train, make: Make
) -> None:
    optimizer = make(network.parameters())
    train(network, optimizer, 2)  # moments that would go on to move it
    stepscope.freeze(network, "backbone", optimizer=optimizer)
    before = bits(network)
    train(network, optimizer, 20)
    moved = changed(before, network)
    assert moved == {name for name in before if not name.startswith("backbone.")}


def test_gradients_that_are_zeroed_in_place_do_not_move_a_part_frozen_in_mid_training(
    network: nn.Module, train: Train
) -> None:
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    train(network, optimizer)
    stepscope.freeze(network, "backbone")  # the optimizer still holds its parameters
    before = bits(network)
    for _ in range(5):
        optimizer.zero_grad(set_to_none=False)
        network.train()(torch.randn(6, 4)).square().mean().backward()
        optimizer.step()
    assert not {name for name in changed(before, network) if name.startswith("backbone.")}


def test_a_frozen_part_stays_in_evaluation_mode_and_the_rest_follows_train(
    network: nn.Module,
) -> None:
    frozen = stepscope.freeze(network, "backbone")
    network.train()
    assert not any(module.training for module in network.backbone.modules())
    assert network.training
    assert all(module.training for module in network.neck.modules())
    x = torch.randn(5, 4)
    assert torch.equal(network.backbone(x), network.backbone(x))  # no dropout, no drop-path
    assert frozen.modules == tuple(
        name for name, _ in network.named_modules() if name.startswith("backbone")
    )
    assert set(frozen.buffers) == {
        f"backbone.1.{name}" for name, _ in nn.BatchNorm1d(1).named_buffers()
    }


def test_dropout_in_a_named_part_without_parameters_is_off_too(network: nn.Module) -> None:
    stepscope.freeze(network, "backbone.*")
    assert not network.train().backbone[2].training


def test_dropout_is_off_in_a_part_that_is_frozen_piece_by_piece(network: nn.Module) -> None:
    stepscope.freeze(network, "backbone.0", "backbone.1")
    network.train()
    assert not any(module.training for module in network.backbone.modules())
    assert network.neck.training


def test_what_returns_finds_its_group_where_the_program_has_dropped_empty_ones(
    network: nn.Module,
) -> None:
    parts = {"backbone": 0.1, "neck": 0.2, "head": 0.3}
    groups = [{"params": network.get_submodule(n).parameters(), "lr": x} for n, x in parts.items()]
    optimizer = torch.optim.SGD(groups)
    frozen = stepscope.freeze(network, "backbone", optimizer=optimizer)
    optimizer.param_groups = [group for group in optimizer.param_groups if group["params"]]
    second = stepscope.freeze(network, "neck.0", optimizer=optimizer)
    second.undo()
    frozen.undo()
    rates = {id(each): group["lr"] for group in optimizer.param_groups for each in group["params"]}
    assert rates == {
        id(each): x for n, x in parts.items() for each in network.get_submodule(n).parameters()
    }


def test_what_returns_finds_its_group_after_the_optimizer_was_loaded(network: nn.Module) -> None:
    groups = [{"params": each.parameters()} for each in network.children()]
    optimizer = torch.optim.SGD(groups, lr=0.1)
    before = [[id(each) for each in group["params"]] for group in optimizer.param_groups]
    frozen = stepscope.freeze(network, "backbone", optimizer=optimizer)
    optimizer.load_state_dict(optimizer.state_dict())
    frozen.undo()
    assert [[id(each) for each in group["params"]] for group in optimizer.param_groups] == before


def test_a_norm_that_matches_nothing_is_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match=r"the pattern 'bakbone' matches nothing .* backbone"):
        stepscope.freeze(network, "backbone", norm={"bakbone": "train"})
    assert all(each.requires_grad for each in network.parameters())


def test_statistics_follow_train_where_the_norm_is_to_train(
    network: nn.Module, train: Train
) -> None:
    frozen = stepscope.freeze(network, "backbone", norm="train")
    before = bits(network)
    train(network, torch.optim.SGD(frozen.parameter_groups(lr=0.1)))
    moved = {name for name in changed(before, network) if name.startswith("backbone.")}
    assert moved == {f"backbone.1.{name}" for name, _ in nn.BatchNorm1d(1).named_buffers()}
    assert not network.backbone[2].training


def test_what_is_excepted_trains(network: nn.Module) -> None:
    frozen = stepscope.freeze(network, "*", but=["head", "neck.0.bias"])
    trainable = {name for name, each in network.named_parameters() if each.requires_grad}
    assert trainable == {"head.weight", "head.bias", "neck.0.bias"}
    assert "neck.1" in frozen.modules
    assert "neck.0" not in frozen.modules
    assert not {"neck", "head"} & set(frozen.modules)


def test_a_train_method_of_the_users_own_class_keeps_its_say() -> None:
    class Backbone(nn.Sequential):
        def train(self, mode: bool = True) -> "Backbone":  # noqa: FBT001, FBT002
            super().train(mode)
            self.trained = mode
            return self

    model = nn.Sequential(Backbone(nn.Linear(4, 4)), nn.Linear(4, 2))
    with stepscope.freeze(model, "0"):
        model.train()
        assert model[0].trained is True
        assert not model[0].training
    model.train()
    assert model[0].training


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_the_end_of_a_freeze_puts_everything_back(
    network: nn.Module, train: Train, make: Make
) -> None:
    optimizer = make(
        [{"params": network.head.parameters()}, {"params": [*network.backbone.parameters()]}]
    )
    train(network, optimizer)
    network.backbone[1].eval()
    flags = {name: each.requires_grad for name, each in network.named_parameters()}
    modes = {name: module.training for name, module in network.named_modules()}
    attributes = {name: set(vars(module)) for name, module in network.named_modules()}
    groups = [[id(each) for each in group["params"]] for group in optimizer.param_groups]
    state = copy.deepcopy(optimizer.state_dict())
    frozen = stepscope.freeze(network, "backbone", optimizer=optimizer)
    assert optimizer.param_groups[1]["params"] == []
    assert set(optimizer.state) <= set(network.head.parameters())
    frozen.undo()
    frozen.undo()
    assert {name: each.requires_grad for name, each in network.named_parameters()} == flags
    assert {name: module.training for name, module in network.named_modules()} == modes
    assert {name: set(vars(module)) for name, module in network.named_modules()} == attributes
    assert [[id(each) for each in group["params"]] for group in optimizer.param_groups] == groups
    torch.testing.assert_close(optimizer.state_dict(), state, rtol=0, atol=0)


def test_training_goes_on_as_if_nothing_had_been_frozen(network: nn.Module, train: Train) -> None:
    other = copy.deepcopy(network)
    optimizers = [torch.optim.AdamW(each.parameters(), lr=0.1) for each in (network, other)]
    for model, optimizer in zip((network, other), optimizers, strict=True):
        torch.manual_seed(1)
        train(model, optimizer)
        if model is network:
            stepscope.freeze(model, "backbone", optimizer=optimizer).undo()
        train(model, optimizer)
    assert not changed(bits(other), network)


def test_overlapping_freezes_may_end_in_any_order(network: nn.Module) -> None:
    network.head.bias.requires_grad_(False)
    first = stepscope.freeze(network, "backbone")
    second = stepscope.freeze(network, "*")
    assert (
        second.newly_frozen
        == tuple(name for name, _ in network.named_parameters() if not name.startswith("backbone"))[
            :-1
        ]
    )
    first.undo()
    assert not any(each.requires_grad for each in network.parameters())
    assert not network.train().backbone.training
    second.undo()
    still = [name for name, each in network.named_parameters() if not each.requires_grad]
    assert still == ["head.bias"]
    assert all(module.training for module in network.train().modules())


def test_freezes_that_share_an_optimizer_may_end_in_any_order(
    network: nn.Module, train: Train
) -> None:
    optimizer = torch.optim.AdamW(network.parameters())
    train(network, optimizer)
    order = [id(each) for each in optimizer.param_groups[0]["params"]]
    state = copy.deepcopy(optimizer.state_dict()["state"])
    first = stepscope.freeze(network, "backbone.0", "head", optimizer=optimizer)
    second = stepscope.freeze(network, "backbone", optimizer=optimizer)
    first.undo()
    held = {id(each) for each in optimizer.param_groups[0]["params"]}
    assert held == {id(each) for part in (network.neck, network.head) for each in part.parameters()}
    second.undo()
    assert [id(each) for each in optimizer.param_groups[0]["params"]] == order
    torch.testing.assert_close(optimizer.state_dict()["state"], state, rtol=0, atol=0)


def test_a_copy_of_the_handle_undoes_the_freeze_of_its_copy(network: nn.Module) -> None:
    frozen = stepscope.freeze(network, "backbone")
    other = copy.deepcopy(frozen)
    other.undo()
    assert all(each.requires_grad for each in other.model.parameters())
    assert other.model.train().backbone.training
    assert not any(each.requires_grad for each in network.backbone.parameters())
    assert not network.train().backbone.training


def test_a_parameter_that_loading_has_replaced_is_thawed_too(network: nn.Module) -> None:
    frozen = stepscope.freeze(network, "backbone")
    state = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    assert not any(each.requires_grad for each in network.backbone.parameters())
    frozen.undo()
    assert all(each.requires_grad for each in network.parameters())


def test_a_copy_and_a_pickled_model_stay_frozen_by_themselves(network: nn.Module) -> None:
    frozen = stepscope.freeze(network, "backbone")
    file = io.BytesIO()
    torch.save(network, file)
    file.seek(0)
    others = [copy.deepcopy(network), torch.load(file, weights_only=False)]
    frozen.undo()
    for other in others:
        other.train()
        assert not any(module.training for module in other.backbone.modules())
        assert other.head.training
    assert network.train().backbone.training


def test_state_dictionaries_are_those_of_the_model_without_a_freeze(network: nn.Module) -> None:
    keys = list(network.state_dict())
    frozen = stepscope.freeze(network, "backbone")
    assert list(network.state_dict()) == keys
    network.load_state_dict({key: value + 1 for key, value in network.state_dict().items()})
    assert not any(each.requires_grad for each in network.backbone.parameters())
    assert frozen.is_active


def test_the_groups_for_a_new_optimizer_leave_out_what_is_frozen(network: nn.Module) -> None:
    frozen = stepscope.freeze(network, "backbone", "neck")
    (group,) = frozen.parameter_groups(lr=0.1, weight_decay=0.2)
    assert group["lr"] == 0.1
    assert group["weight_decay"] == 0.2
    assert list(map(id, group["params"])) == list(map(id, network.head.parameters()))


def test_gradients_are_dropped(network: nn.Module) -> None:
    network(torch.randn(3, 4)).sum().backward()
    stepscope.freeze(network, "backbone")
    assert all(each.grad is None for each in network.backbone.parameters())
    assert all(each.grad is not None for each in network.head.parameters())


def test_a_tied_tensor_is_frozen_under_all_its_names() -> None:
    model = nn.ModuleDict({"embed": nn.Embedding(5, 4), "head": nn.Linear(4, 5, bias=False)})
    model["head"].weight = model["embed"].weight
    frozen = stepscope.freeze(model, "head")
    assert frozen.tied == (("embed.weight", "head.weight"),)
    assert frozen.parameters == ("embed.weight",)
    assert not model["embed"].weight.requires_grad


def test_memory_that_a_trainable_tensor_shares_is_refused(network: nn.Module) -> None:
    network.neck[0].weight = nn.Parameter(network.backbone[0].weight.detach().view(4, 8))
    with pytest.raises(
        ValueError, match=r"backbone\.0\.weight shares its memory with neck\.0\.weight"
    ):
        stepscope.freeze(network, "backbone")
    assert all(each.requires_grad for each in network.parameters())


def test_a_pattern_that_matches_nothing_is_refused_with_the_nearest_names(
    network: nn.Module,
) -> None:
    with pytest.raises(
        ValueError, match=r"'bakcbone' matches nothing .* nearest names are backbone"
    ):
        stepscope.freeze(network, "head", "bakcbone")
    with pytest.raises(ValueError, match="the model holds backbone, head, neck"):
        stepscope.freeze(network, "voxel_encoder")
    assert all(each.requires_grad for each in network.parameters())


def test_a_pattern_that_matches_no_tensor_is_warned_of(network: nn.Module) -> None:
    with pytest.warns(
        UserWarning, match=r"only modules without parameters or buffers: backbone\.2"
    ) as seen:
        stepscope.freeze(network, "backbone.2", "head")
    assert seen[0].filename == __file__


def test_nothing_to_freeze_and_nothing_to_train_are_refused(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="nothing would be frozen"):
        stepscope.freeze(network, "head", but=["head"])
    with pytest.raises(ValueError, match="needs a pattern"):
        stepscope.freeze(network)
    with pytest.raises(ValueError, match="nothing is left to train"):
        stepscope.freeze(network, "*").parameter_groups(lr=1.0)


def test_what_is_no_model_and_no_pattern_is_named(network: nn.Module) -> None:
    with pytest.raises(TypeError, match=r"\['backbone'\] is no pattern; give them one by one"):
        stepscope.freeze(network, ["backbone"])
    with pytest.raises(TypeError, match="takes a module, not generator"):
        stepscope.freeze(network.parameters(), "backbone")
    assert stepscope.freeze(network, "*", but="head").parameters[-1] == "neck.1.bias"


def test_lbfgs_is_refused(network: nn.Module) -> None:
    optimizer = torch.optim.LBFGS(network.parameters())
    with pytest.raises(TypeError, match="LBFGS keeps one history"):
        stepscope.freeze(network, "backbone", optimizer=optimizer)
    assert all(each.requires_grad for each in network.parameters())


def test_the_line_that_froze_is_known(network: nn.Module) -> None:
    frozen = stepscope.freeze(network, "backbone")
    assert frozen.at.file == __file__
    assert frozen.at.function == "test_the_line_that_froze_is_known"


def test_a_parametrised_and_a_lazy_layer_can_be_frozen() -> None:
    model = nn.Sequential(
        nn.utils.parametrizations.weight_norm(nn.Linear(4, 4)), nn.LazyLinear(3), nn.Linear(3, 2)
    )
    stepscope.freeze(model, "0", "1")
    model(torch.randn(2, 4)).sum().backward()
    assert [name for name, each in model.named_parameters() if each.requires_grad] == [
        "2.weight",
        "2.bias",
    ]
