"""All rules are asked seldom; what tells something by itself is judged at once, but only once."""

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from stepscope.core import Findings, Severity, rule
from stepscope.evidence.course.evaluations import Evaluated, Evaluations, PassBelongs
from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.modes import ModesOverTime, StayedInEvaluation
from stepscope.evidence.course.progress import Progress
from stepscope.rules.evaluation.eval_in_train_mode import eval_in_train_mode
from stepscope.watching.judging import FIRST_JUDGED, JUDGING_SHARE, Judging
from stepscope.watching.verdicts import News
from stepscope.watching.watched import Watched

ASLEEP = StayedInEvaluation(
    module="head", kind="Sequential", layers=1, kinds=("Dropout",), since=3, after_evaluation=True
)


def evaluated(*, training: bool) -> Evaluated:
    return Evaluated(
        module="", kind="Net", trained=True, training=training, gradients=False, other_data=True,
        put=False, evaluated=3, sensitive=1,
    )  # fmt: skip


@rule("TST011", Severity.ERROR)
def of_evaluations(_: Evaluations | None, progress: Progress) -> Findings:
    del progress
    return ()


@rule("TST012", Severity.ERROR)
def of_modes(_: ModesOverTime) -> Findings:
    return ()


@rule("TST013", Severity.ERROR)
def of_progress(_: Progress) -> Findings:
    return ()


ALL = (of_evaluations, of_modes, of_progress)


def after(*happened: Happening) -> Judging:
    judging = Judging(ALL)
    judging.heard(Line(step=3, seconds=0.1, happened=happened))
    return judging


@pytest.mark.parametrize(
    ("happened", "asked"),
    [
        ((), ()),
        ((PassBelongs(),), ()),
        ((evaluated(training=False),), ()),
        ((evaluated(training=True),), (of_evaluations,)),
        ((ASLEEP,), (of_modes,)),
        ((ASLEEP, evaluated(training=True)), (of_evaluations, of_modes)),
    ],
)
def test_what_tells_something_is_judged_at_the_next_step(
    happened: tuple[Happening, ...], asked: tuple[object, ...]
) -> None:
    assert after(*happened).due(4, 0.1) == asked


def test_it_is_judged_once_and_later_only_with_all_others() -> None:
    judging = after(ASLEEP)
    assert judging.due(4, 0.1) == (of_modes,)
    judging.heard(Line(step=4, seconds=0.1, happened=(ASLEEP,)))
    assert [judging.due(step, 0.1) for step in (5, 6, 19, 20)] == [(), (), (), ALL]


def test_all_are_asked_at_first_steps_and_then_by_time() -> None:
    judging = Judging(ALL)
    asked = []
    for step in range(1, 1001):
        seconds = step * 0.01
        if judging.due(step, seconds):
            asked.append(step)
            judging.judged(seconds, 2.0 * JUDGING_SHARE)  # two seconds of rest
    assert asked[:2] == [FIRST_JUDGED[0], 50]
    assert asked[2:] == [100, 200, 400, 500, 700, 900]


@pytest.mark.parametrize("batches", [4, 8])
def test_an_evaluation_in_training_mode_is_said_one_step_after_training_goes_on(
    batches: int,
) -> None:
    said: list[News] = []
    with Watched("train.py", rules=[eval_in_train_mode], told=said.append) as watched:
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.Dropout(0.1))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        train = DataLoader(TensorDataset(torch.randn(2 * batches, 3)), batch_size=2)
        valid = DataLoader(TensorDataset(torch.randn(4, 3)), batch_size=2)
        for _epoch in range(2):
            for (batch,) in train:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
            with torch.no_grad():
                for (batch,) in valid:
                    model(batch)
    assert not watched.faults
    assert [news.step for news in said] == [batches + 2]
