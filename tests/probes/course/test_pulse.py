"""A pulse tells of sampled steps, counts all, costs nothing between them, and leaves nothing."""

import gc
import os
import threading
import weakref
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch.nn.modules.module import _has_any_global_hook
from torch.utils.checkpoint import checkpoint

from stepscope.probes.course.notes import Notes
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.session import every_sampler
from tests.probes.course.conftest import Listen, Loop
from tests.probes.test_cost import state_of_the_process

SAMPLED = ["model_returned", "backward_called", "gradients_ready", "step_returned", "step_over"]


def test_a_sampled_step_has_its_moments_in_order_and_the_others_none(listen: Listen) -> None:
    _, told = listen(every=3)
    Loop().step(7)
    assert [told.of(step) for step in range(7)] == [*(SAMPLED, [], []) * 2, SAMPLED]
    assert told.steps == [1, 2, 3, 4, 5, 6, 7]


def test_between_them_only_what_is_asked_for_is_told(listen: Listen) -> None:
    pulse, told = listen(every=9)
    loop = Loop()
    loop.step(2)
    pulse.notes.stir()
    loop.step(2)
    pulse.notes.awaits_backward = True
    loop.step()
    pulse.notes.awaits_backward = False
    loop.step()
    assert [told.of(step) for step in range(1, 6)] == [
        [],
        ["step_over"],
        [],
        ["awaited_backward"],
        [],
    ]


def test_steps_and_backwards_are_counted_in_all_steps(listen: Listen) -> None:
    pulse, _ = listen(every=5)
    one, other = Loop(), Loop()
    one.step(7)
    other.step(2)
    run = pulse.run
    assert (run.backwards, run.optimizer_steps) == (9, 9)
    assert [run.optimizer_made(each.optimizer).steps for each in (one, other)] == [7, 2]


def test_the_first_steps_are_sampled_and_later_ones_at_a_distance(listen: Listen) -> None:
    _, told = listen()
    Loop().step(60)
    sampled = [step for step in range(60) if told.of(step) == SAMPLED]
    assert sampled[:20] == list(range(20))
    assert all(after - before >= before // 10 for before, after in pairwise(sampled[19:]))


@pytest.mark.parametrize("named", ["closure", ""])
def test_with_a_closure_gradients_are_ready_after_its_first_call(
    listen: Listen, named: str
) -> None:
    _, told = listen(every=1)
    loop = Loop()
    loop.optimizer = torch.optim.LBFGS(loop.model.parameters(), max_iter=3)  # type: ignore[assignment]
    step = loop.optimizer.step
    result = step(**{named: loop.loss}) if named else step(loop.loss)
    assert isinstance(result, torch.Tensor)
    moments = told.of(0)
    assert moments[:3] == SAMPLED[:3]
    assert moments.count("gradients_ready") == 1
    assert moments.count("backward_called") > 1
    assert moments[-2:] == SAMPLED[-2:]


def test_accumulated_backwards_belong_to_one_step(listen: Listen) -> None:
    _, told = listen(every=1)
    loop = Loop()
    loop.loss()
    loop.loss()
    loop.optimizer.step()
    assert told.of(0).count("backward_called") == 2
    assert told.steps == [1]


def test_a_backward_inside_a_backward_and_what_it_runs_again_are_not_told(listen: Listen) -> None:
    _, told = listen(every=1)
    x = torch.ones(1, 2, requires_grad=True)
    checkpoint(Loop().model, x, use_reentrant=True).sum().backward()
    assert told.of(0) == ["model_returned", "backward_called"]


def test_only_the_outermost_module_is_told(listen: Listen) -> None:
    seen: list[torch.nn.Module] = []

    class Outermost(Sampler):
        def model_returned(self, module: torch.nn.Module, output: object) -> None:
            seen.append(module)
            assert isinstance(output, torch.Tensor)

    loop = Loop()
    with Pulse([Outermost], line=lambda _: None):
        loop.step()
    assert seen == [loop.model]


# --- what a step of the run is


def steps_of(run: Callable[[], None]) -> int:
    with Pulse([], line=lambda _: None) as pulse:
        run()
    return pulse.run.step


def test_optimizers_that_take_turns_share_a_step() -> None:
    first, second = Loop(), Loop()

    def gan() -> None:
        for _ in range(4):
            first.step()
            second.step()

    assert steps_of(gan) == 4


def test_the_busiest_of_several_optimizers_counts() -> None:
    critic, actor = Loop(), Loop()

    def train() -> None:
        for _ in range(3):
            critic.step(5)
            actor.step()

    assert steps_of(train) == 15


def test_steps_go_on_where_a_second_optimizer_follows_the_first() -> None:
    def stages() -> None:
        Loop().step(10)
        Loop().step(10)

    first, second = Loop(), Loop()

    def alive() -> None:
        first.step(10)
        second.step(10)

    assert steps_of(stages) == 20
    assert steps_of(alive) == 19  # at the change it cannot be told whether they take turns


def test_an_optimizer_made_anew_for_each_step_counts_and_costs_the_same() -> None:
    model = torch.nn.Linear(2, 1)

    def inner() -> None:
        for _ in range(50):
            optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
            model(torch.ones(1, 2)).sum().backward()
            optimizer.step()
            del optimizer

    with Pulse([], line=lambda _: None) as pulse:
        inner()
        assert pulse.run.step == 50
        assert len(pulse.run.optimizers) == len(pulse.run._optimizers) == 0


# --- whose steps are not told


def test_another_thread_is_left_alone(listen: Listen) -> None:
    _, told = listen(every=1)
    thread = threading.Thread(target=Loop().step)
    thread.start()
    thread.join()
    assert told.moments == []
    assert told.steps == []


def test_a_forked_child_is_left_alone(listen: Listen) -> None:
    pulse, told = listen(every=1)
    loop = Loop()
    child = os.fork()
    if child == 0:
        loop.step()
        pulse.close()
        os._exit(len(told.moments) + len(told.lines) + len(told.steps))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    loop.step()
    assert told.of(0) == SAMPLED


def test_what_a_sampler_does_is_not_told() -> None:
    class Acting(Sampler):
        def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
            steps.append(self.run.step)
            optimizer.step()

    steps: list[int] = []
    with Pulse([Acting], line=lambda _: None, every=1) as pulse:
        Loop().step(3)
    assert pulse.run.step == 3
    assert steps == [0, 1, 2]


# --- faults of ours


class Broken(Sampler):
    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        raise ZeroDivisionError("ours")


class Unmade(Sampler):
    def __init__(self, run: LiveRun, notes: Notes) -> None:
        raise ZeroDivisionError("never made")


def test_a_sampler_that_raises_is_taken_out_and_named_once(listen: Listen) -> None:
    lines: list[Any] = []
    with Pulse([Unmade, Broken, *every_sampler()], line=lines.append, every=1) as pulse:
        Loop().step(5)
    made, raised = pulse.run.faults
    assert "never made" in made
    assert "Broken" in raised
    assert "ours" in raised
    assert [line.step for line in lines if "loss" in line.numbers] == [0, 1, 2, 3, 4]


def test_lines_that_nobody_takes_end_the_pulse_and_not_the_program() -> None:
    def refuse(_: object) -> None:
        raise ZeroDivisionError("ours")

    before = torch.nn.Module._call_impl
    loop = Loop()
    with Pulse(every_sampler(), line=refuse, every=1) as pulse:
        loop.step(5)
        assert torch.nn.Module._call_impl is before
    assert pulse.run.step == 1
    assert 1 <= len(pulse.run.faults) <= 2
    assert all("ours" in fault for fault in pulse.run.faults)


def test_what_is_raised_after_a_step_reaches_the_program() -> None:
    def stop(step: int) -> None:
        if step == 2:
            raise KeyboardInterrupt

    loop = Loop()
    with Pulse(every_sampler(), line=lambda _: None, stepped=stop) as pulse:
        loop.step()
        with pytest.raises(KeyboardInterrupt):
            loop.step()
        loop.step()
    assert pulse.run.step == 3


# --- what stays behind


def test_nothing_stays_behind() -> None:
    loop = Loop()
    with Pulse(every_sampler(), line=lambda _: None, every=1):  # imports
        loop.step()
    before = state_of_the_process()
    with Pulse(every_sampler(), line=lambda _: None, every=2) as pulse:
        assert state_of_the_process() != before
        loop.step(3)
    assert state_of_the_process() == before
    assert not any(module._forward_hooks for module in loop.model.modules())
    assert not any(parameter._backward_hooks for parameter in loop.model.parameters())
    held = weakref.ref(loop.model)
    del loop
    gc.collect()
    assert held() is None, "the pulse holds the model"
    assert pulse.run.faults == []


def test_modules_are_untouched_between_sampled_steps() -> None:
    plain = torch.nn.Module._call_impl
    loop = Loop()
    with Pulse([], line=lambda _: None, every=3):
        hooked = []
        for _ in range(6):
            hooked.append(bool(_has_any_global_hook()))
            assert torch.nn.Module._call_impl is plain
            loop.step()
    assert hooked == [True, False, False, True, False, False]
