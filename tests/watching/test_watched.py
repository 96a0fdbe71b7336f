"""A run under watch computes the same, is told of what is found, and outlives our faults."""

import gc
import os
import weakref
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
import torch
from torch.nn.modules.module import _has_any_global_hook

from stepscope.core import Recording
from stepscope.core.report import Status
from stepscope.evidence.course.line import Happening
from stepscope.evidence.environment import Beginning, Run
from stepscope.evidence.optimizers import Optimizers
from stepscope.watching.verdicts import News
from stepscope.watching.watched import Plan, Watched
from tests.probes.test_cost import state_of_the_process
from tests.watching.conftest import Kept, Loop, always_wrong, broken, too_long


def watching(**options: Any) -> Watched:
    return Watched("train.py", rules=options.pop("rules", []), **options)


# --- what is computed


@pytest.mark.parametrize("every", [1, 7, None])
def test_watching_changes_no_bit(every: int | None) -> None:
    def trained(steps: int) -> tuple[list[torch.Tensor], list[float]]:
        loop = Loop()
        loop.step(steps)
        return loop.bits(), loop.losses

    plain, losses = trained(45)
    with watching(plan=Plan(at=(10, 12, 40), every=every)) as watched:
        seen, losses_seen = trained(45)
    assert watched.faults == []
    assert watched.windows_judged == 3  # the one of step 12 is open at that step already
    assert losses == losses_seen
    assert all(map(torch.equal, plain, seen))


def test_nothing_stays_behind() -> None:
    def watched() -> Any:
        loop = Loop()
        with watching(plan=Plan(at=(10, 20), every=4)):
            loop.step(30)
        return loop

    watched()  # what is imported on first use
    before = state_of_the_process()
    loop = watched()
    assert state_of_the_process() == before
    assert not any(module._forward_hooks for module in loop.model.modules())
    held = weakref.ref(loop.model)
    del loop
    gc.collect()
    assert held() is None, "the watching holds the model"


def test_between_windows_and_sampled_steps_modules_are_untouched() -> None:
    plain = torch.nn.Module._call_impl
    loop = Loop()
    with watching(plan=Plan(steps=2, at=(10,), every=5)):
        untouched = []
        for step in range(20):
            loop.optimizer.zero_grad()
            is_touched = torch.nn.Module._call_impl is not plain or bool(_has_any_global_hook())
            loop.step()
            untouched += [] if is_touched else [step]
    # A window of 2 steps ends when the step that follows it begins.
    assert untouched == [3, 4, 6, 7, 8, 9, 13, 14, 16, 17, 18, 19]


# --- windows


def test_windows_open_at_the_start_and_where_it_is_asked_for() -> None:
    kept = Kept()
    with watching(plan=Plan(steps=2, at=(7, 9)), keeper=kept):
        Loop().step(20)
    assert [step for step, _ in kept.windows] == [0, 7, 9]
    runs = [recording.get(Run) for _, recording in kept.windows]
    assert [run and run.steps for run in runs] == [2, 2, 2]
    beginnings = [recording.get(Beginning) is not None for _, recording in kept.windows]
    assert beginnings == [True, False, False]


def test_a_run_that_is_shorter_than_a_window_is_seen_all_the_same() -> None:
    kept = Kept()
    with watching(keeper=kept):
        Loop().step()
    ((step, recording),) = kept.windows
    assert step == 0
    assert recording.get(Optimizers) is not None


def test_a_program_that_never_steps_has_no_window() -> None:
    kept = Kept()
    with watching(keeper=kept, rules=[always_wrong]) as watched:
        loop = Loop()
        loop.model(torch.randn(8, 4)).sum().backward()
    assert watched.step == 0
    assert kept.windows == []
    assert [outcome.status for outcome in watched.outcomes()] == [Status.SKIPPED]


class Turned(Happening, frozen=True, kw_only=True):
    """A turning point."""

    opens_window: ClassVar[bool] = True


def test_a_turning_point_is_looked_at_once_and_within_its_means() -> None:
    kept = Kept()
    with watching(keeper=kept) as watched:
        loop = Loop()
        loop.step(25)
        watched.happen(Turned())
        loop.step(5)
        watched.happen(Turned())  # the last one has cost more than a hundredth of such a run
        loop.step(5)
    assert [step for step, _ in kept.windows] == [0, 25]
    turned = [line.step for line in kept.lines if Turned() in line.happened]
    assert turned == [25, 30]


# --- verdicts


def test_a_finding_is_told_once_when_it_becomes_true() -> None:
    told: list[News] = []
    kept = Kept()
    rules = [always_wrong, too_long]
    with watching(rules=rules, told=told.append, keeper=kept, plan=Plan(at=(10,))) as watched:
        Loop().step(120)
        assert [(news.rule.code, news.step) for news in told] == [("TST001", 0), ("TST002", 20)]
    assert len(told) == 2
    assert kept.findings == [(0, "TST001"), (20, "TST002")]
    by_code = {outcome.rule.code: outcome for outcome in watched.outcomes()}
    assert [finding.measured for finding in by_code["TST002"].findings] == ["120 steps"]


def test_a_rule_that_crashes_is_a_crash_and_the_others_are_asked() -> None:
    told: list[News] = []
    with watching(rules=[broken, too_long], told=told.append) as watched:
        Loop().step(60)
    assert [news.rule.code for news in told] == ["TST002"]
    statuses = {outcome.rule.code: outcome.status for outcome in watched.outcomes()}
    assert statuses == {"TST003": Status.CRASHED, "TST002": Status.FAILED}


def test_options_of_rules_are_theirs() -> None:
    with watching(rules=[too_long], options={"TST002": {"most": 1000}}) as watched:
        Loop().step(60)
    assert [outcome.status for outcome in watched.outcomes()] == [Status.PASSED]


# --- stopping


def test_a_run_is_stopped_between_two_steps_and_again_where_that_is_swallowed() -> None:
    loop = Loop()
    told: list[News] = []
    watched = watching(rules=[too_long], told=lambda news: (told.append(news), watched.stop_run()))
    with watched:
        with pytest.raises(KeyboardInterrupt):
            loop.step(100)
        assert watched.step == 20
        with pytest.raises(KeyboardInterrupt):
            loop.step(100)
    assert watched.step == 21
    assert watched.stopped
    loop.step(2)


def test_what_is_found_when_the_run_is_over_has_not_stopped_it() -> None:
    watched = watching(rules=[too_long], told=lambda _: watched.stop_run())
    with watched:
        Loop().step(18)
    assert not watched.stopped


# --- faults of ours


def refuse(*_: object) -> None:
    raise ZeroDivisionError("ours")


class Refusing(Kept):
    line = window = finding = refuse  # type: ignore[assignment]


@pytest.mark.parametrize(
    "options",
    [
        {"told": refuse},
        {"keeper": Refusing()},
        {"told": refuse, "rules": [too_long]},
    ],
    ids=["what is told of a window", "what is kept", "what is told of the run"],
)
def test_a_fault_of_ours_ends_the_watching_and_not_the_run(options: dict[str, Any]) -> None:
    loop = Loop()
    said: list[str] = []
    plain = torch.nn.Module._call_impl
    with watching(**{"rules": [always_wrong], "said": said.append, **options}) as watched:
        loop.step(60)
        assert torch.nn.Module._call_impl is plain
    assert len(loop.losses) == 60
    (fault,), (sentence,) = watched.faults, said
    assert "ours" in fault
    assert sentence.startswith("a fault of stepscope ends the watching at step ")
    assert sentence.endswith(": ZeroDivisionError: ours")


def test_a_window_that_cannot_open_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    before = state_of_the_process()
    monkeypatch.setattr("stepscope.watching.watched.every_probe", lambda: [lambda _: refuse()])
    with watching() as watched:
        Loop().step(3)
    assert state_of_the_process() == before
    assert len(watched.faults) == 1


# --- whose runs are not watched


def test_a_forked_child_says_and_keeps_nothing() -> None:
    kept, told = Kept(), []
    with watching(rules=[always_wrong], keeper=kept, told=told.append) as watched:
        loop = Loop()
        loop.step()
        child = os.fork()
        if child == 0:
            loop.step(5)
            watched.close()
            os._exit(len(kept.windows) + len(kept.findings) + len(told))
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        loop.step(5)
    assert len(told) == 1


# --- the clock


def test_a_clock_that_goes_back_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    def back(clock: Callable[[], float]) -> Callable[[], float]:
        began = clock()
        return lambda: 2 * began - clock()

    for name in ("time", "monotonic", "perf_counter"):
        monkeypatch.setattr(time, name, back(getattr(time, name)))
    kept = Kept()
    with watching(keeper=kept, rules=[too_long], plan=Plan(at=(30,))) as watched:
        Loop().step(60)
    assert watched.faults == []
    assert [step for step, _ in kept.windows] == [0, 30]
    assert [outcome.status for outcome in watched.outcomes()] == [Status.FAILED]
    assert [line.step for line in kept.lines][:20] == list(range(20))


def test_what_windows_have_shown_is_the_last_of_each_kind() -> None:
    with watching(plan=Plan(at=(10,))) as watched:
        Loop().step(20)
    assert isinstance(watched.seen, Recording)
    optimizers = watched.seen.get(Optimizers)
    assert optimizers is not None


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_model_that_was_compiled_before_is_compiled_no_differently() -> None:
    graphs: list[object] = []

    def backend(graph: torch.fx.GraphModule, _: object) -> object:
        graphs.append(graph)
        return graph.forward

    model = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
    compiled = torch.compile(model, backend=backend)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watching(plan=Plan(every=2)) as watched:
        for _ in range(6):
            optimizer.zero_grad()
            compiled(torch.ones(1, 2)).sum().backward()
            optimizer.step()
    assert (watched.step, watched.compiled, watched.faults) == (6, True, [])
    assert len(graphs) == 1


@pytest.mark.filterwarnings("ignore")
def test_a_model_can_be_exported_in_a_sampled_step() -> None:
    loop, x = Loop(), torch.ones(2, 4)
    with watching(plan=Plan(every=1)) as watched:
        loop.step(8)
        exported = torch.export.export(loop.model.eval(), (x,), strict=True)
        assert torch.equal(exported.module()(x), loop.model(x))
        loop.step(2)
    assert (watched.step, watched.faults) == (10, [])
