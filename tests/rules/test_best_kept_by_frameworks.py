"""What a framework is told to choose the best checkpoint by, on either side of each line."""

import pytest
from msgspec.structs import replace

from stepscope.core import Place, Recording, judge
from stepscope.core.report import Outcome, Status
from stepscope.evidence.course.best_kept import BestKept, BestsKept
from stepscope.evidence.course.endings import Endings, RunEnded
from stepscope.evidence.course.held_out import HeldOutPass, HeldOutPasses
from stepscope.evidence.course.progress import Progress
from stepscope.rules.checkpoint.selected_by_training_loss import selected_by_training_loss

CHOICE = BestKept(
    by="ModelCheckpoint(monitor='train_loss', mode='min')",
    metric="train_loss",
    larger=False,
    right="mode='max'",
    is_from_training=True,
    is_of_one_batch=False,
    validates=True,
    decides=True,
    at=Place(file="train.py", line=60),
)
ELSEWHERE = replace(CHOICE, is_from_training=False)
PASS = HeldOutPass(
    data=0,
    kind="Pairs",
    size=8,
    batch_size=4,
    order=0,
    in_order=True,
    marks={},
    whole_marks={},
    evaluated=10,
    called_test="test_loader",
    at=Place(file="train.py", line=70),
)


def judged(*choices: BestKept, passes: tuple[HeldOutPass, ...] = ()) -> Outcome:
    seen = tuple((10 * step, each) for step, each in enumerate(choices, 1))
    ended = RunEnded(finished=True, error="")
    evidence = [
        BestsKept(seen=seen, count=len(seen)),
        Progress(first=0, step=40, sampled=40, seconds=1.0),
        Endings(seen=((40, ended),), count=1),
    ]
    if passes:
        told = tuple((each.evaluated, each) for each in passes)
        evidence.append(HeldOutPasses(seen=told, count=len(told)))
    (outcome,) = judge([selected_by_training_loss], Recording(*evidence))
    return outcome


@pytest.mark.parametrize(
    ("choice", "severity"),
    [
        (CHOICE, "warning"),
        (replace(CHOICE, validates=False), "note"),
        (replace(CHOICE, validates=False, is_of_one_batch=True), "warning"),
    ],
)
def test_the_training_step_should_not_choose(choice: BestKept, severity: str) -> None:
    outcome = judged(choice)
    (finding,) = outcome.findings
    assert outcome.severity(finding).value == severity
    assert finding.subject == choice.by
    assert finding.at == choice.at


@pytest.mark.parametrize(
    "choice",
    [
        ELSEWHERE,
        replace(CHOICE, decides=False),
        replace(CHOICE, metric="global_step", larger=True),  # keeps the latest ones
        replace(CHOICE, metric="reward", larger=True),
        replace(
            CHOICE, metric="val_loss_of_a_batch"
        ),  # held-out batches may be looked at in training_step
        replace(ELSEWHERE, metric="val_loss"),
        replace(ELSEWHERE, metric="val_acc", larger=True),
        replace(ELSEWHERE, metric="neg_loss", larger=True),
    ],
)
def test_a_choice_that_may_be_right_is_left_alone(choice: BestKept) -> None:
    assert judged(choice).status is Status.PASSED


@pytest.mark.parametrize(("metric", "larger"), [("val_acc", False), ("eval_wer", True)])
def test_the_worst_should_not_be_kept_as_the_best(metric: str, *, larger: bool) -> None:
    (finding,) = judged(replace(ELSEWHERE, metric=metric, larger=larger)).findings
    assert "keeps the worst as the best" in finding.message
    assert finding.expected == "mode='max'"


def test_the_same_setting_is_told_once() -> None:
    assert len(judged(CHOICE, CHOICE, CHOICE).findings) == 1


def test_the_test_set_should_not_choose_whatever_the_metric_is_called() -> None:
    choice = replace(ELSEWHERE, metric="val_acc", larger=True)
    (finding,) = judged(choice, choice, passes=(PASS, replace(PASS, evaluated=20))).findings
    assert finding.message == "chooses the best, where nothing but the test set is evaluated"
    assert finding.subject == choice.by


@pytest.mark.parametrize(
    "passes",
    [
        (PASS,),  # of one of two choices nothing is known
        (PASS, replace(PASS, evaluated=20, called_test="")),
        (PASS, replace(PASS, evaluated=20), replace(PASS, evaluated=20, data=1)),
    ],
)
def test_other_data_may_have_chosen(passes: tuple[HeldOutPass, ...]) -> None:
    choice = replace(ELSEWHERE, metric="val_acc", larger=True)
    assert judged(choice, choice, passes=passes).status is Status.PASSED
