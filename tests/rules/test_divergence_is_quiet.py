"""How often a run that goes well is called diverged is as seldom as the page of the rule says."""

import random

import pytest

from stepscope.core import Recording, Status, judge
from stepscope.evidence.course.chance import ChanceCurves, CrossEntropies, CrossEntropyBegan
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.series import Series
from stepscope.rules.review.divergence import divergence

RUNS, VALUES = 300, 300


def status(values: list[float]) -> Status:
    steps = tuple(range(len(values)))
    recording = Recording(
        LossCurves(series={"total": Series(steps, tuple(values))}),
        ChanceCurves(series={"0.ratio": Series(steps, tuple(values))}),
        CrossEntropies(seen=((0, CrossEntropyBegan(number=0, candidates=10)),), count=1),
    )
    (outcome,) = judge([divergence], recording)
    return outcome.status


def noise(chance: random.Random, tail: float) -> float:
    """Return a number that is now and then ten times as far off."""
    return chance.gauss(0, 1) * (10 if chance.random() < tail else 1)


@pytest.mark.parametrize("tail", [0.0, 0.05])
@pytest.mark.parametrize("gain", [0.0, 0.5, 3.0])
def test_noise_about_a_level_or_a_fall_is_no_divergence(gain: float, tail: float) -> None:
    chance = random.Random(0)  # noqa: S311 - it is to repeat itself
    for _ in range(RUNS):
        values = [5 + gain * 20 / (20 + step) + 0.1 * noise(chance, tail) for step in range(VALUES)]
        assert status(values) is Status.PASSED


def test_a_fall_that_is_lost_again_is_one() -> None:
    chance = random.Random(0)  # noqa: S311 - it is to repeat itself
    for _ in range(RUNS):
        values = [5 - min(step, 100) * 0.02 + 0.1 * chance.gauss(0, 1) for step in range(VALUES)]
        assert status(values) is Status.PASSED
        assert (
            status([*values, *[6 + 0.1 * chance.gauss(0, 1) for _ in range(20)]]) is Status.FAILED
        )
