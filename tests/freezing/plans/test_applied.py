"""Stages of a plan on a live optimizer and its schedule."""

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as schedules

from stepscope.freezing.plans import AppliedPlan, Plan, Stage

# SequentialLR of torch < 2.9 steps its schedules by an argument that torch itself warns of.
pytestmark = pytest.mark.filterwarnings("ignore:The epoch parameter in")
PLAN = Plan(
    tuned={"backbone": 0.1, "neck": 0.5},
    stages=(
        Stage(frozen=("backbone", "neck"), until_epoch=3),
        Stage(frozen=("backbone",), until_epoch=6),
    ),
)
EPOCHS = 12
Make = Callable[[torch.optim.Optimizer], Any]
COUNTED: dict[str, Make] = {
    "step": lambda o: schedules.StepLR(o, 2, 0.5),
    "multi": lambda o: schedules.MultiStepLR(o, [2, 4, 4, 9], 0.5),
    "constant": lambda o: schedules.ConstantLR(o, 0.3, 5),
    "linear": lambda o: schedules.LinearLR(o, 0.2, 1.0, 8),
    "exponential": lambda o: schedules.ExponentialLR(o, 0.8),
    "polynomial": lambda o: schedules.PolynomialLR(o, 9, 2.0),
    "cosine": lambda o: schedules.CosineAnnealingLR(o, EPOCHS, eta_min=1e-4),
    "function": lambda o: schedules.LambdaLR(o, lambda epoch: 1 / (1 + epoch)),
    "warm-up, then cosine": lambda o: schedules.SequentialLR(
        o,
        [
            schedules.LinearLR(o, 0.1, 1.0, 4),
            schedules.CosineAnnealingLR(o, EPOCHS - 4, eta_min=1e-5),
        ],
        milestones=[4],
    ),
}
OTHERS: dict[str, Make] = {
    "multiplied": lambda o: schedules.MultiplicativeLR(o, lambda _: 0.9),
    "restarts": lambda o: schedules.CosineAnnealingWarmRestarts(o, 4, eta_min=1e-5),
    "one cycle": lambda o: schedules.OneCycleLR(
        o, [group["lr"] for group in o.param_groups], total_steps=EPOCHS + 1
    ),
    "cyclic": lambda o: schedules.CyclicLR(
        o, 1e-4, [group["lr"] for group in o.param_groups], 3, cycle_momentum=False
    ),
    "chained": lambda o: schedules.ChainedScheduler(
        [schedules.ConstantLR(o, 0.3, 5), schedules.ExponentialLR(o, 0.8)], optimizer=o
    ),
}


def rates(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, float]:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(each)]: group["lr"] for group in optimizer.param_groups for each in group["params"]
    }


def from_the_start(model: nn.Module, make: Make) -> list[dict[str, float]]:
    """Return what an optimizer that holds everything from the start is told at each epoch."""
    groups = [
        {"params": [*model.head.parameters()], "lr": 0.01},
        {"params": [*model.backbone.parameters()], "lr": 0.001},
        {"params": [*model.neck.parameters()], "lr": 0.005},
    ]
    optimizer = torch.optim.SGD(groups)
    schedule = make(optimizer)
    seen = []
    for _ in range(EPOCHS):
        seen.append(rates(optimizer, model))
        optimizer.step()
        schedule.step()
    return seen


@pytest.mark.parametrize("make", [*COUNTED.values(), *OTHERS.values()], ids=[*COUNTED, *OTHERS])
def test_what_is_thawed_has_the_rate_it_would_have_had_from_the_start(
    network: nn.Module, make: Make
) -> None:
    expected = from_the_start(network, make)
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.01))
    schedule = make(optimizer)
    for epoch in range(EPOCHS):
        plan.advance(epoch=epoch, optimizer=optimizer, scheduler=schedule)
        found = rates(optimizer, network)
        assert found == {name: expected[epoch][name] for name in found}
        trained = {name for name, each in network.named_parameters() if each.requires_grad}
        assert trained == set(found)
        optimizer.step()
        schedule.step()
    assert len(found) == len([*network.parameters()])


@pytest.mark.parametrize("make", COUNTED.values(), ids=COUNTED)
def test_a_group_is_added_to_an_optimizer_that_knows_nothing_of_the_plan(
    network: nn.Module, make: Make
) -> None:
    expected = from_the_start(network, make)
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(network.head.parameters(), lr=0.01)
    schedule = make(optimizer)
    for epoch in range(EPOCHS):
        plan.advance(epoch=epoch, optimizer=optimizer, scheduler=schedule)
        found = rates(optimizer, network)
        assert found == pytest.approx({name: expected[epoch][name] for name in found}, rel=1e-9)
        optimizer.step()
        schedule.step()
    assert len(found) == len([*network.parameters()])
    assert len(optimizer.param_groups) == 3


@pytest.mark.parametrize("make", [OTHERS["restarts"], OTHERS["multiplied"]])
def test_a_schedule_that_keeps_more_is_refused_with_the_way_out(
    network: nn.Module, make: Make
) -> None:
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(network.head.parameters(), lr=0.01)
    schedule = make(optimizer)
    with pytest.raises(TypeError, match=r"make the optimizer of `parameter_groups\(\)`"):
        plan.advance(epoch=3, optimizer=optimizer, scheduler=schedule)


def test_a_resumed_run_goes_on_bit_by_bit(network: nn.Module) -> None:
    def run(model: nn.Module, epochs: range, state: dict[str, Any] | None) -> dict[str, Any]:
        plan = AppliedPlan(PLAN, model)
        if state:
            plan.load_state_dict(state["plan"])
        optimizer = torch.optim.AdamW(plan.parameter_groups(lr=0.01, weight_decay=0.1))
        schedule = schedules.CosineAnnealingLR(optimizer, EPOCHS, eta_min=1e-4)
        if state:
            model.load_state_dict(state["model"])
            optimizer.load_state_dict(state["optimizer"])
            schedule.load_state_dict(state["schedule"])
        for epoch in epochs:
            plan.advance(epoch=epoch, optimizer=optimizer, scheduler=schedule)
            torch.manual_seed(epoch)
            model.train()
            optimizer.zero_grad()
            model(torch.randn(6, 4)).square().mean().backward()
            optimizer.step()
            schedule.step()
        parts = {"plan": plan, "model": model, "optimizer": optimizer, "schedule": schedule}
        return {name: copy.deepcopy(part.state_dict()) for name, part in parts.items()}

    other, third = copy.deepcopy(network), copy.deepcopy(network)
    whole = run(network, range(EPOCHS), None)
    for stop in (2, 4, 7):
        half = run(copy.deepcopy(other), range(stop), None)
        resumed = run(copy.deepcopy(third), range(stop, EPOCHS), half)
        torch.testing.assert_close(resumed["model"], whole["model"], rtol=0, atol=0)
        states = [each["optimizer"]["state"] for each in (resumed, whole)]
        torch.testing.assert_close(*states, rtol=0, atol=0)
        assert resumed["optimizer"]["param_groups"] == whole["optimizer"]["param_groups"]


def test_stages_may_end_by_optimizer_steps(network: nn.Module) -> None:
    plan = AppliedPlan(Plan(stages=(Stage(frozen=("backbone",), until_step=10),)), network)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.1))
    assert not plan.advance(step=9, optimizer=optimizer)
    with pytest.raises(ValueError, match="until step 10: say step="):
        plan.advance(epoch=3, optimizer=optimizer)
    assert plan.advance(step=10, optimizer=optimizer)
    assert not plan.advance(step=11, optimizer=optimizer)
    assert network.train().backbone.training


def test_what_stays_frozen_is_let_go_at_no_moment(network: nn.Module) -> None:
    stages = (Stage(frozen=("backbone", "neck"), until_epoch=1),)
    plan = AppliedPlan(Plan(frozen=("backbone",), stages=stages), network)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.1))
    first = plan.frozen
    plan.advance(epoch=1, optimizer=optimizer)
    assert first is not plan.frozen
    network.train()
    assert not network.backbone.training
    assert network.neck.training
    plan.undo()
    assert network.train().backbone.training


def test_statistics_of_trained_layers_stand_still_where_the_plan_says_so(
    network: nn.Module, train: Callable[..., None]
) -> None:
    plan = AppliedPlan(
        Plan(frozen=("backbone",), norm={"neck": "eval", "backbone": "train"}), network
    )
    before = copy.deepcopy(network.state_dict())
    train(network, torch.optim.SGD(plan.parameter_groups(lr=0.1)), 3)
    moved = {n for n, each in network.state_dict().items() if not torch.equal(each, before[n])}
    assert {name for name in moved if "running" in name} == {
        "backbone.1.running_mean",
        "backbone.1.running_var",
    }
    assert "neck.1.weight" in moved
    plan.undo()
    assert network.train().neck[1].training


def test_only_what_a_stage_thaws_joins_the_optimizer(network: nn.Module) -> None:
    plan = AppliedPlan(Plan(stages=(Stage(frozen=("neck",), until_epoch=1),)), network)
    ours = torch.optim.SGD(network.head.parameters(), lr=0.1)
    plan.advance(epoch=1, optimizer=ours, scheduler=None)
    held = {id(each) for group in ours.param_groups for each in group["params"]}
    assert held == {id(each) for part in (network.head, network.neck) for each in part.parameters()}


def test_a_refusal_changes_nothing(network: nn.Module) -> None:
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(network.head.parameters(), lr=0.01)
    schedule = OTHERS["multiplied"](optimizer)
    for _ in range(2):
        with pytest.raises(TypeError):
            plan.advance(epoch=3, optimizer=optimizer, scheduler=schedule)
        assert plan.stage == 0
        assert len(optimizer.param_groups) == 1
        assert not any(each.requires_grad for each in network.neck.parameters())


def test_stages_hold_for_parameters_that_loading_has_replaced(network: nn.Module) -> None:
    plan = AppliedPlan(PLAN, network)
    state = {key: value.clone() for key, value in network.state_dict().items()}
    network.load_state_dict(state, assign=True)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.1))
    for epoch, trained in ((3, {"neck", "head"}), (6, {"backbone", "neck", "head"})):
        plan.advance(epoch=epoch, optimizer=optimizer)
        now = {name.partition(".")[0] for name, p in network.named_parameters() if p.requires_grad}
        assert now == trained


def test_a_schedule_that_overwrites_the_multipliers_is_refused(network: nn.Module) -> None:
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.01))
    schedule = schedules.OneCycleLR(optimizer, 0.01, total_steps=10)
    with pytest.raises(ValueError, match=r"max_lr=\[1 \* max_lr, 0\.1 \* max_lr, 0\.5 \* max_lr\]"):
        plan.advance(epoch=0, optimizer=optimizer, scheduler=schedule)


def test_a_cycle_that_overwrites_the_multipliers_is_refused(network: nn.Module) -> None:
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.01), momentum=0.9)
    cycle = schedules.CyclicLR(optimizer, 0.001, 0.01)
    for schedule in (cycle, schedules.SequentialLR(optimizer, [cycle], [])):
        with pytest.raises(ValueError, match=r"max_lr=\[1 \* max_lr, 0\.1 \* max_lr"):
            plan.advance(epoch=0, optimizer=optimizer, scheduler=schedule)


def test_a_cycle_with_a_peak_for_each_group_is_taken(network: nn.Module) -> None:
    plan = AppliedPlan(PLAN, network)
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.01), momentum=0.9)
    rates = [0.01, 0.001, 0.005]
    schedule = schedules.CyclicLR(optimizer, [rate / 10 for rate in rates], rates)
    assert not plan.advance(epoch=0, optimizer=optimizer, scheduler=schedule)


def test_a_model_with_other_parameters_by_now_is_refused(network: nn.Module) -> None:
    plan = AppliedPlan(PLAN, network)
    network.neck = nn.Sequential(nn.Sequential(nn.Linear(8, 8)))
    optimizer = torch.optim.SGD(plan.parameter_groups(lr=0.1)[:1])
    with pytest.raises(
        ValueError, match=r"no 'neck\.0\.bias' any more, which the plan was applied"
    ):
        plan.advance(epoch=3, optimizer=optimizer)
    assert plan.stage == 0
