"""Moments come in the order of the training step, and nothing stays behind."""

import functools
import gc
import math
import os
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim import optimizer as optimizer_hooks
from torch.utils.checkpoint import checkpoint

from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.observation import MOMENTS, Observation
from stepscope.probes.probe import Probe
from stepscope.session import every_probe

seen: list[str] = []


class Listing(Probe):
    """Writes down every moment."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        seen.clear()


def _listed(moment: str) -> Callable[..., None]:
    return lambda _self, *_facts: seen.append(moment)


for _moment in MOMENTS:
    setattr(Listing, _moment, _listed(_moment))

STEP = [
    *("step_opened", "module_called", "module_returned", "backward_called", "backward_returned"),
    *("step_called", "gradients_ready", "step_returned"),
]


class Loop:
    """One layer and its optimizer."""

    def __init__(self) -> None:
        self.model = torch.nn.Linear(2, 1)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def loss(self) -> torch.Tensor:
        self.optimizer.zero_grad()
        loss: torch.Tensor = self.model(torch.ones(1, 2)).sum()
        loss.backward()
        return loss

    def step(self) -> None:
        self.loss()
        self.optimizer.step()


def test_a_step_has_its_moments_in_order() -> None:
    with Observation([Listing]):
        loop = Loop()
        loop.step()
        loop.step()
    assert seen == STEP * 2


def test_a_closure_is_part_of_its_step() -> None:
    with Observation([Listing]) as observation:
        loop = Loop()
        result = loop.optimizer.step(loop.loss)
    assert isinstance(result, torch.Tensor)
    assert seen == [
        *("step_opened", "step_called", "module_called", "module_returned", "backward_called"),
        *("backward_returned", "gradients_ready", "step_returned"),
    ]
    assert observation.run.step == 1


def test_accumulated_backwards_belong_to_one_step() -> None:
    with Observation([Listing]) as observation:
        loop = Loop()
        loop.loss()
        loop.loss()
        loop.optimizer.step()
    assert seen.count("backward_called") == 2
    assert seen.count("step_opened") == observation.run.step == 1


def test_a_backward_inside_a_backward_is_no_root() -> None:
    with Observation([Listing]):
        loop = Loop()
        x = torch.ones(1, 2, requires_grad=True)
        checkpoint(loop.model, x, use_reentrant=True).sum().backward()
    assert seen.count("backward_called") == 1


def test_an_exception_leaves_a_module_and_the_program_sees_it_unchanged() -> None:
    class Broken(torch.nn.Module):
        def forward(self) -> None:
            raise KeyError("boxes")

    with Observation([Listing]) as observation:
        with pytest.raises(KeyError, match="boxes"):
            Broken()()
        assert observation.run.modules == []
    assert seen == ["step_opened", "module_called", "module_raised"]


def test_the_program_is_told_when_the_steps_are_taken_and_something_new_begins() -> None:
    told: list[int] = []
    with Observation([Listing], steps=2, completed=lambda: told.append(len(seen))):
        loop = Loop()
        loop.step()
        loop.step()
        assert not told
        loop.step()
    assert told == [len(STEP) * 2]
    assert seen == STEP * 2


def test_nothing_stays_behind() -> None:
    def hooks() -> list[Any]:
        return [
            torch.nn.Module._call_impl,
            torch.autograd.backward,
            torch.optim.Optimizer.__init__,
            torch.compile,
            len(optimizer_hooks._global_optimizer_pre_hooks),
            len(optimizer_hooks._global_optimizer_post_hooks),
        ]

    before = hooks()
    with Observation([Listing]):
        Loop().step()
        assert hooks() != before
    assert hooks() == before


def test_a_fault_of_a_probe_is_kept_and_the_program_goes_on() -> None:
    class Faulty(Probe):
        def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
            raise ZeroDivisionError("ours")

    with Observation([Faulty, Listing]) as observation:
        loop = Loop()
        loop.step()
        loop.step()
    assert seen == STEP * 2
    assert len(observation.run.faults) == 1
    assert "Faulty" in observation.run.faults[0]
    assert "ours" in observation.run.faults[0]


def test_a_forked_child_is_not_observed() -> None:
    with Observation([Listing]) as observation:
        loop = Loop()
        child = os.fork()
        if child == 0:
            loop.step()
            os._exit(len(seen) + observation.watching)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        loop.step()
    assert seen == STEP


def test_what_a_probe_does_raises_no_moments() -> None:
    class Acting(Probe):
        def module_returned(self, module: torch.nn.Module, *_: Any) -> None:
            module(torch.ones(1, 2))

    with Observation([Listing, Acting]) as observation:
        Loop().step()
    assert observation.run.faults == []
    assert seen == STEP


# --- what the program replaces itself


def test_the_programs_own_patch_outlives_the_recording(monkeypatch: pytest.MonkeyPatch) -> None:
    original = torch.nn.functional.cross_entropy
    with Observation(every_probe()):
        ours = torch.nn.functional.cross_entropy
        assert ours is not original
        mine = functools.partial(ours, label_smoothing=0.1)
        monkeypatch.setattr(torch.nn.functional, "cross_entropy", mine)
    assert torch.nn.functional.cross_entropy is mine
    monkeypatch.undo()
    torch.nn.functional.cross_entropy = original


def test_what_the_program_has_put_back_stays_back() -> None:
    original = torch.nn.functional.cross_entropy
    with Observation(every_probe()):
        torch.nn.functional.cross_entropy = original
    assert torch.nn.functional.cross_entropy is original


def test_a_patched_function_that_the_program_holds_does_nothing_more_afterwards() -> None:
    calls: list[str] = []

    def noted(call: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any) -> Any:
            calls.append("observed")
            return call(*args)

        return observed

    run = LiveRun(3)
    run.patch(math, "sqrt", noted)
    held = math.sqrt
    assert held(4) == 2
    run.unpatch()
    assert held(9) == 3
    assert calls == ["observed"]
    assert not hasattr(math.sqrt, "__wrapped__")


def test_an_autograd_function_is_itself_again() -> None:
    held = vars(torch.autograd.Function)["apply"]
    with Observation(every_probe()):
        assert vars(torch.autograd.Function)["apply"] is not held
    assert vars(torch.autograd.Function)["apply"] is held


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
def test_a_forked_child_keeps_the_programs_patch(monkeypatch: pytest.MonkeyPatch) -> None:
    with Observation(every_probe()) as observation:
        monkeypatch.setattr(torch, "load", functools.partial(torch.load, weights_only=False))
        child = os.fork()
        if child == 0:
            kept = isinstance(torch.load, functools.partial)
            os._exit(0 if kept and observation.run.over and observation.run.looking else 1)
        assert os.waitpid(child, 0)[1] == 0
        monkeypatch.undo()


def test_an_observation_does_not_outlive_its_program() -> None:
    observation = Observation([Listing])
    with observation:
        Loop().step()
    gone = weakref.ref(observation)
    del observation
    gc.collect()
    assert gone() is None


def test_looking_within_a_look_does_not_end_it() -> None:
    run = LiveRun(3)
    lookout = Lookout(run, "test")
    run.looking = True
    with lookout.looking():
        pass
    assert run.looking
