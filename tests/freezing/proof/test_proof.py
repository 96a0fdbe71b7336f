"""A proof sees what moves, says nothing of what stands still, and changes no bit of a training."""

import math
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from stepscope.evidence.freezing import FreezeRecord
from stepscope.evidence.intent import Intent
from stepscope.freezing import Frozen, freeze
from stepscope.freezing.proof import FreezeBroken, Proof


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(4, 2))

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.head(self.backbone(rows))
        return out


FROZEN_ELEMENTS = 4 * 4 + 4 + 4 + 4  # of the linear layer and the normalisation
TRAINED_ELEMENTS = 4 * 2 + 2


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    return Model()


@pytest.fixture
def frozen(model: Model) -> Frozen:
    return freeze(model, "backbone")


def adam(frozen: Frozen) -> torch.optim.Optimizer:
    return torch.optim.AdamW(frozen.parameter_groups(lr=0.1))


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    steps: int,
    before_step: Callable[[int], object] = lambda _: None,
) -> list[float]:
    losses = []
    for step in range(1, steps + 1):
        model.train()
        optimizer.zero_grad()
        loss = model(torch.randn(8, 4)).square().sum()
        loss.backward()
        before_step(step)
        optimizer.step()
        losses.append(loss.item())
    return losses


def prove(
    frozen: Frozen, steps: int, before_step: Callable[[int], object] = lambda _: None, **how: Any
) -> FreezeRecord:
    proof = Proof(frozen, **how)
    optimizer = adam(frozen)
    proof.watch(optimizer)
    proof.begin()
    train(frozen.model, optimizer, steps, before_step)
    return proof.finish()


def everything(
    model: nn.Module, optimizer: torch.optim.Optimizer, losses: list[float]
) -> list[Any]:
    state = [*model.state_dict().values()]
    state += [t for entry in optimizer.state_dict()["state"].values() for t in entry.values()]
    modes = [module.training for module in model.modules()]
    hooks = [len(vars(module)["_forward_hooks"]) for module in model.modules()]
    names = [sorted(vars(module)) for module in model.modules()]
    steps = [len(optimizer._optimizer_step_post_hooks), len(optimizer._optimizer_step_pre_hooks)]
    return [torch.get_rng_state(), *state, losses, modes, hooks, names, steps]


def run(*, proved: bool) -> list[Any]:
    torch.manual_seed(0)
    model = Model()
    frozen = freeze(model, "backbone")
    optimizer = adam(frozen)
    proof = Proof(frozen, every=1, against={k: v.clone() for k, v in model.state_dict().items()})
    proof.watch(optimizer)
    if proved:
        proof.begin()
    losses = train(model, optimizer, 5)
    if proved:
        assert proof.finish().holds
    return everything(model, optimizer, losses)


def test_a_training_is_the_same_to_the_bit_with_and_without_a_proof() -> None:
    plain, proved = run(proved=False), run(proved=True)
    for one, other in zip(plain, proved, strict=True):
        same = torch.equal(one, other) if isinstance(one, torch.Tensor) else one == other
        assert same, (one, other)


def test_what_stands_still_is_looked_at_every_k_steps_and_at_the_end(frozen: Frozen) -> None:
    record = prove(frozen, 5, every=2)
    assert [check.step for check in record.checks] == [2, 4, 5]
    assert record.holds, record.breaches
    assert (record.steps, record.every, record.patterns) == (5, 2, ("backbone",))
    assert record.at.file == __file__
    assert all(each.before == each.after for each in record.tensors)
    names = {name for name, _ in frozen.model.backbone.named_parameters(prefix="backbone")}  # type: ignore[union-attr]
    assert {each.name for each in record.tensors if not each.is_buffer} == names
    statistics = {"running_mean", "running_var", "num_batches_tracked"}
    buffers = {each.name for each in record.tensors if each.is_buffer}
    assert buffers == {f"backbone.1.{name}" for name in statistics}


def test_elements_are_counted_and_not_tensors(frozen: Frozen) -> None:
    before = prove(frozen, 0).before
    assert (before.frozen.tensors, before.frozen.elements) == (4, FROZEN_ELEMENTS)
    assert (before.trainable.tensors, before.trainable.elements) == (2, TRAINED_ELEMENTS)
    assert before.optimized == before.trainable
    assert (before.buffers.tensors, before.buffers.elements) == (3, 4 + 4 + 1)
    assert (before.strangers.tensors, before.strangers.elements) == (0, 0)


def test_a_tied_tensor_counts_once() -> None:
    model = nn.ModuleDict({"embed": nn.Linear(3, 3, bias=False), "head": nn.Linear(3, 3)})
    model["head"].weight = model["embed"].weight
    proof = Proof(freeze(model, "embed"))
    proof.begin()
    before = proof.finish().before
    assert (before.frozen.elements, before.trainable.elements) == (9, 3)


@pytest.mark.filterwarnings("ignore:the freeze of")
@pytest.mark.parametrize(
    ("name", "field"),
    [
        ("backbone.0.weight", "changed_parameters"),
        ("backbone.0.bias", "changed_parameters"),
        ("backbone.1.running_var", "changed_buffers"),
        ("backbone.1.num_batches_tracked", "changed_buffers"),
    ],
)
def test_the_smallest_change_of_one_element_is_seen(frozen: Frozen, name: str, field: str) -> None:
    def disturb(step: int) -> None:
        if step == 3:
            tensor = dict([*frozen.model.named_parameters(), *frozen.model.named_buffers()])[name]
            flat = tensor.data.view(-1)[-1:]
            up = torch.full_like(flat, math.inf) if flat.is_floating_point() else None
            flat.copy_(flat + 1 if up is None else torch.nextafter(flat, up))

    record = prove(frozen, 5, disturb, every=2)
    found = {check.step: getattr(check, field) for check in record.checks}
    assert found == {2: (), 4: (name,), 5: (name,)}
    assert len(record.breaches) == 1
    assert name in record.breaches[0]
    assert "first seen after 4 steps" in record.breaches[0]
    (moved,) = [each for each in record.tensors if each.before != each.after]
    assert moved.name == name


@pytest.mark.filterwarnings("ignore:the freeze of")
def test_a_tensor_put_in_the_place_of_a_frozen_one_is_seen(frozen: Frozen, model: Model) -> None:
    layer = model.backbone[0]
    proof = Proof(frozen)
    proof.begin()
    layer.weight = nn.Parameter(layer.weight.detach() * 2, requires_grad=False)
    assert proof.finish().checks[-1].changed_parameters == ("backbone.0.weight",)


@pytest.mark.filterwarnings("ignore:the freeze of")
def test_a_gradient_that_arrives_is_seen(frozen: Frozen, model: Model) -> None:
    def thaw(step: int) -> None:
        weight = model.backbone[0].weight
        weight.requires_grad_(step == 1)
        weight.grad = torch.zeros_like(weight) if step == 2 else None

    first, second, third = prove(frozen, 2, thaw, every=1).checks
    assert (first.requiring, first.gradients) == (("backbone.0.weight",), ())
    assert (second.requiring, second.gradients) == ((), ("backbone.0.weight",))
    assert (third.step, third.gradients) == (2, ("backbone.0.weight",))
    assert (first.changed_parameters, second.changed_parameters) == ((), ())


@pytest.mark.filterwarnings("ignore:the freeze of")
def test_a_module_in_training_mode_is_seen(frozen: Frozen, model: Model) -> None:
    def switch(step: int) -> None:
        model.backbone[2].training = step == 1

    assert [check.training for check in prove(frozen, 2, switch, every=1).checks] == [
        ("backbone.2",),
        (),
        (),
    ]


@pytest.mark.filterwarnings("ignore:the freeze of")
def test_groups_are_compared_by_identity_and_not_by_value(frozen: Frozen, model: Model) -> None:
    nn.init.zeros_(model.head[1].bias)  # equal to the frozen bias of the normalisation layer
    swapped = [model.head[1].weight, nn.Parameter(torch.zeros(2)), model.backbone[1].bias]
    proof = Proof(frozen)
    proof.watch(torch.optim.SGD(swapped, lr=0.1))
    proof.begin()
    before = proof.finish().before
    assert before.in_optimizer == ("backbone.1.bias",)
    assert before.not_in_optimizer == ("head.1.bias",)
    assert (before.strangers.tensors, before.strangers.elements) == (1, 2)


@pytest.mark.filterwarnings("ignore:the freeze of")
def test_the_intent_is_held_against_what_is_frozen(frozen: Frozen) -> None:
    meant = Intent(frozen=("backbone", "head.1.bias"), trainable=("head", "backbone.1"))
    before = prove(frozen, 0, intent=meant).before
    assert before.declared_frozen == ("head.1.bias",)
    assert before.declared_trainable == ("backbone.1.weight", "backbone.1.bias")


def test_a_breach_ends_the_training_where_that_is_asked_for(frozen: Frozen, model: Model) -> None:
    proof = Proof(frozen, every=2, on_broken="raise")
    optimizer = adam(frozen)
    proof.watch(optimizer)
    proof.begin()
    nn.init.ones_(model.backbone[0].bias)
    with pytest.raises(
        FreezeBroken, match=r"1 frozen parameters changed: backbone\.0\.bias"
    ) as told:
        train(model, optimizer, 5)
    assert told.value.record.steps == 2
    assert not told.value.record.holds
    train(model, optimizer, 5)  # it watches no longer
    assert not optimizer._optimizer_step_post_hooks


def test_a_breach_is_warned_of_once(frozen: Frozen, model: Model) -> None:
    proof = Proof(frozen)
    proof.begin()
    nn.init.ones_(model.backbone[0].bias)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(300):
            proof.after_step()
        record = proof.finish()
    (one,) = told
    assert "does not hold: 1 frozen parameters changed: backbone.0.bias" in str(one.message)
    assert len(record.checks) == 4


def test_a_later_stage_thaws_a_part_and_the_rest_is_held_to_its_first_bits(model: Model) -> None:
    first = freeze(model, "backbone")
    proof = Proof(first, every=1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    proof.begin()
    proof.after_step()
    first.undo()
    second = freeze(model, "backbone.1", "head")
    proof.follow(second)
    train(model, optimizer, 3, lambda _: proof.after_step())
    record = proof.finish()
    assert record.holds, record.breaches
    lives = {each.name: (each.since_step, each.until_step) for each in record.tensors}
    assert lives["backbone.0.weight"] == (0, 1)
    assert lives["backbone.1.weight"] == (0, 4)
    assert lives["head.1.weight"] == (1, 4)


@pytest.mark.filterwarnings("ignore:the freeze of")
def test_what_stays_frozen_through_a_stage_may_not_move_before_it(model: Model) -> None:
    first = freeze(model, "backbone")
    proof = Proof(first)
    proof.begin()
    nn.init.ones_(model.backbone[1].bias)
    first.undo()
    proof.follow(freeze(model, "backbone.1"))
    assert [c.changed_parameters for c in proof.finish().checks] == [("backbone.1.bias",)] * 2


def test_when_the_last_stage_thaws_all_nothing_is_left_to_break(model: Model) -> None:
    handle = freeze(model, "backbone")
    proof = Proof(handle, every=1, against=model.state_dict())
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    proof.watch(optimizer)
    with pytest.warns(UserWarning, match="4 of the frozen parameters are held by an optimizer"):
        proof.begin()
    handle.undo()
    proof.follow(None)
    train(model, optimizer, 3)
    record = proof.finish()
    assert {(each.since_step, each.until_step) for each in record.tensors} == {(0, 0)}
    assert all(each.before == each.after for each in record.tensors)
    (compared,) = record.identical_to
    assert len(compared.identical) == len(record.tensors)


def test_a_default_device_does_not_reach_the_sums(frozen: Frozen) -> None:
    proof = Proof(frozen)
    with torch.device("meta"):
        proof.begin()
        record = proof.finish()
    assert record.holds
    assert any(each.before for each in record.tensors)


def test_a_proof_cannot_be_begun_or_finished_twice(frozen: Frozen) -> None:
    proof = Proof(frozen)
    with pytest.raises(RuntimeError, match="nothing was proved"):
        proof.finish()
    proof.begin()
    with pytest.raises(RuntimeError, match="one beginning"):
        proof.begin()
    with pytest.raises(RuntimeError, match="name the optimizers first"):
        proof.watch(adam(frozen))
    proof.finish()
    with pytest.raises(RuntimeError, match="handed out"):
        proof.finish()


def test_settings_that_mean_nothing_are_refused(frozen: Frozen) -> None:
    with pytest.raises(ValueError, match="every=0"):
        Proof(frozen, every=0)
    with pytest.raises(ValueError, match="on_broken='ignore'"):
        Proof(frozen, on_broken="ignore")  # type: ignore[arg-type]


def test_a_frozen_part_that_is_replaced_breaks_the_proof() -> None:
    model = torch.nn.Sequential(torch.nn.Sequential(torch.nn.Linear(4, 4)), torch.nn.Linear(4, 2))
    proof = Proof(freeze(model, "0"), every=1, on_broken="raise")
    proof.begin()
    model[0] = torch.nn.Sequential(torch.nn.Linear(4, 4))
    with pytest.raises(FreezeBroken, match=r"0\.0\.weight"):
        proof.after_step()


def test_a_part_that_was_replaced_by_another_structure_cannot_be_proved(
    model: Model, frozen: Frozen
) -> None:
    model.backbone = nn.Sequential(nn.Sequential(nn.Linear(4, 4)))
    with pytest.raises(ValueError, match=r"no module 'backbone\.1' any more, which was frozen"):
        Proof(frozen)
