"""A plain loop under `stepscope.watch`."""

import gc
import weakref
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import stepscope
from stepscope.core import Status
from stepscope.core.verdict import Verdict
from stepscope.evidence.course.epochs import EpochEnds, Epochs
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.plans import Plans
from tests.adapters.kept import kept
from tests.adapters.looping import Network, optimizer_of, steps


@pytest.mark.parametrize("rate", [0.1, 0.0])
def test_watching_changes_no_bit_of_what_the_loop_computes(tmp_path: Path, rate: float) -> None:
    plain, watched = Network(), Network()
    alone = list(steps(plain, optimizer_of(plain, rate=rate), 30))
    before = random_state = torch.get_rng_state()
    optimizer = optimizer_of(watched, rate=rate)
    with stepscope.watch(watched, optimizer, folder=tmp_path):
        beside = list(steps(watched, optimizer, 30))
    assert torch.equal(before, torch.get_rng_state()), random_state
    assert alone == beside
    for name, value in plain.state_dict().items():
        assert torch.equal(value, watched.state_dict()[name]), name


def test_a_finding_is_said_at_its_step_by_the_name_in_the_model_that_was_handed_over(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = Network()
    other = nn.Linear(2, 2)
    optimizer = optimizer_of(model, rate=0.0)
    second = torch.optim.SGD(other.parameters(), lr=0.1)
    with stepscope.watch(model, optimizer, folder=tmp_path) as run:
        for step, _ in enumerate(steps(model, optimizer, 8)):
            other(torch.ones(1, 2)).sum().backward()
            second.step()
            second.zero_grad()
            said = capfd.readouterr().err
            assert ("FRZ001" in said) == (step == 3)
            if step == 3:
                assert "error FRZ001 frozen-by-zero-lr\n  backbone" in said
    assert "8 optimizer steps. The run is at fault: 1 error" in capfd.readouterr().err
    assert run.report is not None
    assert [each.rule.code for each in run.report.at_fault] == ["FRZ001"]
    assert kept(tmp_path).codes[0] == "FRZ001"


def test_what_the_loop_tells_of_itself_is_in_the_recording(tmp_path: Path) -> None:
    model = Network()
    optimizer = optimizer_of(model)
    with stepscope.watch(model, optimizer, folder=tmp_path) as run:
        run.plan(steps=6, accumulation=2)
        for epoch in range(2):
            run.epoch(epoch, planned=2)
            list(steps(model, optimizer, 3))
            run.log({"val/acc": torch.tensor(0.5 + epoch)}, lr=0.25)
        assert run.step == 6
    seen = kept(tmp_path).evidence
    assert seen[MetricCurves] == MetricCurves(
        series={
            name: stepscope_series((3, 6), values)
            for name, values in (("val/acc", (0.5, 1.5)), ("lr", (0.25, 0.25)))
        }
    )
    epochs, ends, plans = seen[Epochs], seen[EpochEnds], seen[Plans]
    assert isinstance(epochs, Epochs)
    assert isinstance(ends, EpochEnds)
    assert isinstance(plans, Plans)
    assert [(step, e.number, e.planned) for step, e in epochs.seen] == [(0, 0, 2), (3, 1, 2)]
    assert [(step, each.number) for step, each in ends.seen] == [(3, 0), (6, 1)]
    assert [(each.steps, each.accumulation) for _, each in plans.seen] == [(6, 2)]


def stepscope_series(at: tuple[int, ...], values: tuple[float, ...]) -> Any:
    from stepscope.evidence.course.series import Series

    return Series(at, values)


def test_what_the_loop_raises_goes_on_and_the_verdict_says_so(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = Network()
    optimizer = optimizer_of(model)
    watched = stepscope.watch(model, optimizer, folder=tmp_path)
    with pytest.raises(ZeroDivisionError), watched as run:  # noqa: PT012 - a loop is several
        list(steps(model, optimizer, 4))
        1 / 0  # noqa: B018
    assert "the program raised after 4" in capfd.readouterr().err
    assert run.report is not None
    assert run.report.run.error == "ZeroDivisionError: division by zero"
    assert kept(tmp_path).how == "raised"


def test_ctrl_c_is_the_programs_own(tmp_path: Path) -> None:
    model = Network()
    watched = stepscope.watch(model, folder=tmp_path)
    with pytest.raises(KeyboardInterrupt), watched as run:
        raise KeyboardInterrupt
    assert not run.stopped


def test_no_hook_is_left(tmp_path: Path) -> None:
    from torch.optim import optimizer as hooks

    before = (
        nn.Module._call_impl,
        torch.autograd.backward,
        torch.optim.Optimizer.__init__,
        dict(hooks._global_optimizer_pre_hooks),
        dict(hooks._global_optimizer_post_hooks),
    )
    model = Network()
    optimizer = optimizer_of(model)
    with stepscope.watch(model, optimizer, folder=tmp_path):
        list(steps(model, optimizer, 5))
    after = (
        nn.Module._call_impl,
        torch.autograd.backward,
        torch.optim.Optimizer.__init__,
        dict(hooks._global_optimizer_pre_hooks),
        dict(hooks._global_optimizer_post_hooks),
    )
    assert before == after


def test_nothing_is_kept_alive(tmp_path: Path) -> None:
    def watched() -> list[weakref.ref[Any]]:
        model = Network()
        optimizer = optimizer_of(model)
        with stepscope.watch(model, optimizer, folder=tmp_path) as run:
            list(steps(model, optimizer, 5))
        return [weakref.ref(each) for each in (model, optimizer, run)]

    kept_alive = watched()
    gc.collect()
    assert [each() for each in kept_alive] == [None, None, None]


def test_one_loop_may_be_watched_after_another(tmp_path: Path) -> None:
    model = Network()
    optimizer = optimizer_of(model)
    watched = stepscope.watch(model, optimizer, folder=tmp_path)
    for _round in range(2):
        with watched as run:
            list(steps(model, optimizer, 4))
        assert run.report is not None
        assert run.report.run.steps == 4


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"on_error": "halt"}, "on_error='halt'; expected 'report', 'stop' or a function"),
        ({"every": 0}, "every=0; expected a whole number of steps, from 1"),
        ({"select": ["FRX"]}, "no rule has the code 'FRX'; the nearest is FRZ"),
        ({"ignore": {"FRZ001": ""}}, "ignore of 'FRZ001' has no reason"),
        ({"intent": {"frozn": ["a"]}}, "unknown key; the nearest is 'frozen'"),
        ({"intent": {"frozen": "a"}}, "frozen: expected a list, found 'a'"),
        ({"settings": "gone.toml"}, "gone.toml cannot be read"),
    ],
)
def test_a_keyword_that_is_wrong_is_refused_at_once(how: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("(", r"\(")):
        stepscope.watch(Network(), **how)


def test_what_is_no_model_no_optimizer_and_no_number_is_refused() -> None:
    with pytest.raises(TypeError, match=r"model is list; expected a torch.nn.Module"):
        stepscope.watch([Network()])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"optimizer is float; expected a torch.optim.Optimizer"):
        stepscope.watch(Network(), 0.1)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"run.log\(acc=...\) was given 'high'; expected one"):
        stepscope.watch(Network()).log(acc="high")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"given a tensor of shape \(2,\); expected one number"):
        stepscope.watch(Network()).log(acc=torch.ones(2))


def test_what_came_before_the_loop_is_not_held_against_it(tmp_path: Path) -> None:
    model = Network()
    optimizer = optimizer_of(model)
    intent = {"checkpoint": "start.pt"}  # it may have been read before the watching began
    with stepscope.watch(model, optimizer, folder=tmp_path, intent=intent) as run:
        list(steps(model, optimizer, 6))
    assert run.report is not None
    assert run.report.verdict is Verdict.CLEAN
    assert "CKP001" in skipped(run) - of_a_beginning(run)
    assert not of_a_beginning(run)
    with stepscope.watch(model, optimizer, folder=tmp_path) as run:  # its optimizer has a state
        list(steps(model, optimizer, 6))
    assert "FRZ001" in of_a_beginning(run)


def skipped(run: Any) -> set[str]:
    return {each.rule.code for each in run.report.outcomes if each.status is Status.SKIPPED}


def of_a_beginning(run: Any) -> set[str]:
    needs = "needs the first steps of a run"
    return {each.rule.code for each in run.report.outcomes if needs in each.reason}


def test_a_fault_of_ours_at_the_start_is_said_and_the_loop_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from stepscope.adapters import attached

    def broken(*_: object, **__: object) -> None:
        raise KeyError("ours")

    monkeypatch.setattr(attached, "WatchedRun", broken)
    model = Network()
    optimizer = optimizer_of(model)
    with stepscope.watch(model, optimizer, folder=tmp_path) as run:
        run.epoch(0)
        run.log(acc=0.5)
        assert len(list(steps(model, optimizer, 4))) == 4
    assert (run.report, run.step, run.stopped) == (None, 0, False)
    said = capfd.readouterr().err
    assert "the run is not watched, by a fault of stepscope: KeyError('ours')" in said


def test_a_watch_within_a_watch_hands_on_what_it_is_told(tmp_path: Path) -> None:
    model = Network()
    optimizer = optimizer_of(model)
    with stepscope.watch(model, optimizer, folder=tmp_path) as outer:
        with stepscope.watch(model, optimizer, folder=tmp_path / "inner") as inner:
            list(steps(model, optimizer, 4))
            inner.log(acc=0.5)
        assert inner.report is None
        list(steps(model, optimizer, 2))
    assert outer.report is not None
    assert outer.report.run.steps == 6
    curves = kept(tmp_path).evidence[MetricCurves]
    assert isinstance(curves, MetricCurves)
    assert dict(curves.series["acc"]) == {4: 0.5}
