"""What the optimizers' ledger says, against programs whose course is known."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from stepscope.core import Evidence
from stepscope.evidence.gradients import BackwardRoots, Gradients
from stepscope.evidence.optimizers import Optimizers, Schedules
from stepscope.probes.observation import Observation
from stepscope.probes.optimizers import OptimizersProbe


def watch(program: Callable[[], object]) -> dict[type[Evidence], Evidence]:
    observation = Observation([OptimizersProbe], steps=1000)
    with observation:
        program()
    assert observation.run.faults == []
    return {type(each): each for each in observation.evidence}


def optimizers(program: Callable[[], object]) -> Optimizers:
    found = watch(program)[Optimizers]
    assert isinstance(found, Optimizers)
    return found


def gradients(program: Callable[[], object]) -> Gradients:
    found = watch(program)[Gradients]
    assert isinstance(found, Gradients)
    return found


def train(optimizer: torch.optim.Optimizer, model: nn.Module, steps: int = 3) -> None:
    for _ in range(steps):
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()


def test_a_group_remembers_the_rate_of_each_step_and_of_the_next() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=torch.tensor(0.5), momentum=0.8)
        for lr in (0.25, 0.125):
            train(optimizer, model, 1)
            optimizer.param_groups[0]["lr"].fill_(lr)
        train(optimizer, model, 1)

    (group,) = optimizers(program).groups
    assert group.lrs == (0.5, 0.25, 0.125)
    assert (group.made_lr, group.initial_lr, group.momentum) == (0.5, None, 0.8)
    assert group.parameters == ("weight", "bias")


def test_the_base_and_the_calls_of_a_scheduler_are_seen_but_not_the_call_of_its_making() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
        parts = [torch.optim.lr_scheduler.ConstantLR(optimizer, 0.5, 9) for _ in range(2)]
        schedule = torch.optim.lr_scheduler.ChainedScheduler(parts)
        for _ in range(2):
            train(optimizer, model, 1)
            schedule.step()

    evidence = watch(program)
    found, schedules = evidence[Optimizers], evidence[Schedules]
    assert isinstance(found, Optimizers)
    assert isinstance(schedules, Schedules)
    assert found.groups[0].initial_lr == 1.0
    assert [(s.scheduler, s.after_step, s.lrs) for s in schedules.steps] == [
        ("ChainedScheduler", 1, (0.25,)),
        ("ChainedScheduler", 2, (0.25,)),
    ]
    assert schedules.lrs == (((0.25, 0.25, 0.25),),)


def test_micro_batches_enter_with_zero_only_at_first() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for batch in range(6):
            model(torch.ones(2, 4)).sum().backward()
            if batch % 3 == 2:
                optimizer.step()
                optimizer.zero_grad(set_to_none=False)

    steps = optimizers(program).steps
    assert [step.backwards for step in steps] == [3, 3]
    assert [step.entering_nonzero for step in steps] == [(False, True, True)] * 2
    assert not any(step.carried for step in steps)


def test_gradients_that_nobody_zeroes_are_carried() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        for _ in range(3):
            model(torch.ones(2, 4)).sum().backward()
            optimizer.step()

    steps = optimizers(program).steps
    assert [step.carried for step in steps] == [False, True, True]
    assert [step.gradient_norm for step in steps] == pytest.approx(
        [count * (5 * 4) ** 0.5 for count in (1, 2, 3)]
    )


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")  # LBFGS of torch 2.8
def test_a_closure_runs_before_its_step_and_its_first_gradient_counts() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        nn.init.ones_(model.weight)
        nn.init.zeros_(model.bias)
        optimizer = torch.optim.LBFGS(model.parameters(), lr=0.01, max_iter=3)

        def closure() -> torch.Tensor:
            optimizer.zero_grad()
            loss: torch.Tensor = model(torch.ones(1, 4)).square().sum()
            loss.backward()
            return loss

        optimizer.step(closure)

    (step,) = optimizers(program).steps
    assert step.backwards == 1
    assert step.gradient_norm == pytest.approx(8 * 5**0.5)  # 2 (w x + b) x = 8, five times


def test_a_step_that_the_scaler_leaves_out_is_counted_and_gradients_are_unscaled() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=1024.0)
        for factor in (1.0, float("inf"), 1.0):
            optimizer.zero_grad()
            scaler.scale(model(torch.ones(1, 4)).sum() * factor).backward()
            scaler.step(optimizer)
            scaler.update()

    evidence = watch(program)
    found, roots = evidence[Optimizers], evidence[BackwardRoots]
    assert isinstance(found, Optimizers)
    assert isinstance(roots, BackwardRoots)
    assert (found.optimizers[0].stepped, found.optimizers[0].skipped_by_scaler) == (2, 1)
    assert [step.gradient_norm for step in found.steps] == pytest.approx([5**0.5] * 2)
    assert [root.scaled_by for root in roots.roots] == [1024.0, 1024.0, 512.0]


def test_the_line_of_zero_grad_between_backward_and_step_is_kept() -> None:
    def program() -> None:
        model = nn.Linear(4, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        model(torch.ones(2, 4)).sum().backward()
        model.zero_grad()
        optimizer.step()
        optimizer.zero_grad()
        model(torch.ones(2, 4)).sum().backward()
        optimizer.step()

    first, second = optimizers(program).steps
    assert first.zeroed_at is not None
    assert first.zeroed_at.line == program.__code__.co_firstlineno + 4
    assert first.at.line == program.__code__.co_firstlineno + 5
    assert (first.gradients_present, second.gradients_present) == (0, 2)
    assert second.zeroed_at is None


def test_tensors_without_a_module_are_unknown_and_a_replaced_one_keeps_apart() -> None:
    def program() -> None:
        model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 1))
        optimizer = torch.optim.SGD([*model.parameters(), nn.Parameter(torch.ones(3))], lr=0.1)
        train(optimizer, model, 1)
        model[1] = nn.Linear(4, 1)
        train(optimizer, model, 1)

    found = optimizers(program)
    (made,) = found.optimizers
    assert made.unknown == ("1.weight (replaced)", "1.bias (replaced)", "tensor1 (3,)")


def test_norms_are_those_of_a_loop_also_for_sparse_half_and_complex_gradients() -> None:
    tensors = {
        "in_half": torch.full((300, 300), 300.0, dtype=torch.float16),
        "in_complex": torch.tensor([3.0 + 4.0j, 0.0]),
        "in_double": torch.tensor([1e-100, -2e-100], dtype=torch.float64),
        "nothing": torch.zeros(0),
    }

    def program() -> None:
        model = nn.ParameterDict({name: torch.zeros_like(t) for name, t in tensors.items()})
        table = nn.Embedding(5, 2, sparse=True)
        optimizer = torch.optim.SGD([*model.parameters(), *table.parameters()], lr=0.1)
        table(torch.tensor([1, 1, 3])).sum().backward()
        for name, tensor in tensors.items():
            model[name].grad = tensor
        optimizer.step()

    found = {g.parameter.rpartition(".")[2]: g for g in gradients(program).gradients}
    assert found["in_half"].norms == (pytest.approx(300.0 * 300.0, rel=1e-3),)
    assert found["in_complex"].norms == (5.0,)
    assert found["in_double"].norms == (pytest.approx(5**0.5 * 1e-100),)
    assert found["in_double"].largest == (2e-100,)
    assert found["nothing"].norms == (0.0,)
    assert found["weight"].norms == (pytest.approx((2 * 4 + 2 * 1) ** 0.5),)  # rows 1 and 3
    assert found["weight"].largest == (2.0,)


@pytest.mark.parametrize("reentrant", [True, False])
def test_what_a_checkpoint_hides_is_reached_all_the_same(reentrant: bool) -> None:  # noqa: FBT001
    def program() -> None:
        block, unused = nn.Linear(4, 4), nn.Linear(4, 4)
        model = nn.ModuleList([block, unused])
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        value = torch.ones(2, 4, requires_grad=True)
        for _ in range(2):
            out = torch.utils.checkpoint.checkpoint(block, value, use_reentrant=reentrant)
            assert isinstance(out, torch.Tensor)
            out.sum().backward()
            optimizer.step()

    reached = {g.parameter: g.reached for g in gradients(program).gradients}
    assert reached["0.weight"] == (True, True)
    assert reached["1.weight"] == (False, False)


def test_a_step_inside_a_step_is_known_as_such() -> None:
    class Outer(torch.optim.Optimizer):
        def __init__(self, inner: torch.optim.Optimizer) -> None:
            super().__init__(inner.param_groups, {})
            self.inner = inner

        def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
            self.inner.step(closure)

    def program() -> None:
        model = nn.Linear(4, 1)
        train(Outer(torch.optim.SGD(model.parameters(), lr=0.1)), model, 2)

    steps = optimizers(program).steps
    assert [(s.optimizer, s.step, s.within) for s in steps] == [
        (0, 0, 1), (1, 1, None), (0, 2, 1), (1, 3, None),
    ]  # fmt: skip


def test_watching_changes_no_bit() -> None:
    def program() -> list[torch.Tensor]:
        torch.manual_seed(3)
        model = nn.Sequential(nn.Linear(4, 8), nn.Dropout(), nn.Linear(8, 1))
        train(torch.optim.Adam(model.parameters()), model, 4)
        return [*model.parameters(), torch.get_rng_state()]

    plain = program()
    watched: list[torch.Tensor] = []
    watch(lambda: watched.extend(program()))
    assert all(torch.equal(a, b) for a, b in zip(plain, watched, strict=True))
