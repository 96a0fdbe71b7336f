"""Where a run was when a milestone fell due."""

import math

import pytest

from stepscope.evidence.course.chance import ChanceCurves
from stepscope.evidence.course.epochs import EpochEnded, EpochEnds
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Growing, Series
from stepscope.evidence.course.trajectory import Actual, Trajectory, UnknownName, Untold
from stepscope.evidence.milestones import parsed


def at(
    milestone: str,
    step: int = 1000,
    *,
    metrics: dict[str, Series] | None = None,
    losses: dict[str, Series] | None = None,
    chance: dict[str, Series] | None = None,
    ends: dict[int, int] | None = None,
) -> Actual:
    """Ask for a milestone after so many steps; `ends` are steps by epoch."""
    over = tuple((step, EpochEnded(number=number)) for number, step in (ends or {}).items())
    return Trajectory(
        Progress(first=0, step=step, sampled=step, seconds=1.0),
        MetricCurves(series=metrics) if metrics else None,
        LossCurves(series=losses) if losses else None,
        ChanceCurves(series=chance) if chance else None,
        EpochEnds(seen=over, count=len(over)) if over else None,
    ).at(parsed(milestone))


def test_a_logged_number_counts_as_it_was_logged_last_before_it_is_due() -> None:
    metrics = {"acc": Series((10, 20, 30), (0.1, 0.2, 0.3))}
    assert (at("step 20: acc > 0", metrics=metrics).value) == 0.2
    assert (at("step 29: acc > 0", metrics=metrics).step) == 20
    assert at("epoch 3: acc > 0", metrics=metrics, ends={1: 20, 2: 30}).value == 0.3


def test_the_loss_of_a_batch_is_averaged_over_the_last_tenth_before_the_last_update() -> None:
    values = tuple(float(step) for step in range(200))
    losses = {"loss_box": Series(tuple(range(200)), values)}
    found = at("step 100: loss_box < 0", losses=losses)
    assert found.step == 99  # the loss of step 100 is that after the hundredth update
    assert found.value == pytest.approx(sum(range(90, 100)) / 10)
    sparse = {"loss_box": Series((0, 50, 60), (1.0, 2.0, 3.0))}
    assert at("step 100: loss_box < 0", losses=sparse).value == 3.0


def test_the_last_part_of_a_name_is_enough_where_it_is_the_only_one() -> None:
    one = Series((1,), (0.5,))
    assert at("step 5: acc > 0", metrics={"val/acc": one, "lr": one}).value == 0.5
    assert at("step 5: acc > 0", metrics={"val/acc": one, "acc": Series((1,), (0.7,))}).value == 0.7
    with pytest.raises(UnknownName, match="several end so: train/acc, val/acc"):
        at("step 5: acc > 0", metrics={"train/acc": one, "val/acc": one})
    with pytest.raises(UnknownName, match="there are: top1, loss_box"):
        at("step 5: acc > 0", metrics={"top1": one}, losses={"loss_box": one})
    with pytest.raises(UnknownName, match="no number was logged"):
        at("step 5: acc > 0")
    with pytest.raises(UnknownName, match="for the first time later"):
        at("step 5: acc > 0", metrics={"acc": Series((6,), (0.5,))})


def test_what_is_not_due_or_was_due_before_is_not_told() -> None:
    metrics = {"acc": Series((1,), (0.5,))}
    assert at("step 10: acc > 0", 10, metrics=metrics).value == 0.5
    with pytest.raises(Untold, match="step 11 is not over"):
        at("step 11: acc > 0", 10, metrics=metrics)
    with pytest.raises(Untold, match="no end of an epoch is known"):
        at("epoch 1: acc > 0", metrics=metrics)
    with pytest.raises(Untold, match="epoch 3 is not over"):
        at("epoch 3: acc > 0", metrics=metrics, ends={0: 5, 1: 10})
    with pytest.raises(Untold, match="epoch 3 was over before"):
        at("epoch 3: acc > 0", metrics=metrics, ends={4: 5, 5: 10})


def test_a_share_of_chance_survives_a_change_of_the_number_of_candidates() -> None:
    steps, counts = tuple(range(10)), (8, 8, 8, 8, 8, 256, 256, 256, 256, 256)
    half = tuple(0.5 * math.log(count) for count in counts)
    chance = {
        "0.ratio": Series(steps, (0.5,) * 10),
        "0.candidates": Series(steps, counts),
        "1.ratio": Series(steps, (0.9,) * 10),
        "1.candidates": Series(steps, (1000,) * 10),
    }
    found = at(
        "step 10: loss_region < 1 of chance",
        losses={"loss_region": Series(steps, half)},
        chance=chance,
    )
    assert found.value == pytest.approx(0.5)
    assert "N = 256" in found.said


def test_candidates_are_those_of_the_only_number_there_is_and_else_not_known() -> None:
    losses = {"loss": Series((0,), (3.0,))}
    alike = {
        f"{line}.{kind}": Series((0,), (value,))
        for line in (0, 1)
        for kind, value in (("ratio", 0.1), ("candidates", 16.0))
    }
    found = at("step 1: loss < 1 of chance", losses=losses, chance=alike)
    assert found.value == pytest.approx(3.0 / math.log(16))
    for other in (32.0, math.nan, 1.0):
        unlike = {**alike, "1.candidates": Series((0,), (other,))}
        if other == 32.0:
            with pytest.raises(Untold, match="candidates that loss has to choose from"):
                at("step 1: loss < 1 of chance", losses=losses, chance=unlike)
        else:
            assert (
                at("step 1: loss < 1 of chance", losses=losses, chance=unlike).value == found.value
            )
    with pytest.raises(Untold, match="candidates"):
        at("step 1: loss < 1 of chance", losses=losses)


def test_what_has_been_thinned_out_since_is_not_judged_again() -> None:
    growing = Growing()
    for step in range(5000):
        growing.add(step, 1.0)
    metrics = {"acc": growing.series()}
    assert at("step 50: acc > 0", 5000, metrics=metrics).step == 50
    assert at("step 4900: acc > 0", 5000, metrics=metrics).step == 4900
    with pytest.raises(Untold, match="step 2000 is long past"):
        at("step 2000: acc > 0", 5000, metrics=metrics)
