"""Ratios and predictions of what freezing saves."""

import pytest

from stepscope.evidence.savings import Measured, Prediction, Sample, Step, Variant, predicted


def sample(variant: Variant, number: int, seconds: float, **facts: object) -> Sample:
    step = Step(forward=seconds / 4, backward=seconds / 2, optimizer=seconds / 4)
    return Sample(variant=variant, round=number, steps=(step, step), **facts)


def measured(*samples: Sample, others: float = 0.0) -> Measured:
    return Measured(
        target="train.py",
        patterns=("backbone",),
        device="cpu",
        processors=2,
        others=others,
        predicted=predicted(samples),
        samples=samples,
    )


@pytest.mark.parametrize(
    ("share", "backward", "speed_up"), [(0, 1, 1), (0.7, 0.3, 3 / 1.6), (1, 0, 3)]
)
def test_a_frozen_prefix_saves_its_share_of_the_backward(
    share: float, backward: float, speed_up: float
) -> None:
    prediction = Prediction(share=share, is_prefix=True)
    assert prediction.backward == pytest.approx(backward)
    assert prediction.speed_up == pytest.approx(speed_up)


def test_a_frozen_part_that_something_trainable_feeds_saves_half_of_it() -> None:
    assert Prediction(share=0.5, is_prefix=False).backward == 0.75


def test_ratios_are_taken_round_by_round() -> None:
    found = measured(
        *(sample(Variant.ZERO, i, seconds) for i, seconds in enumerate((1.0, 2.0, 10.0))),
        *(sample(Variant.FROZEN, i, seconds) for i, seconds in enumerate((0.5, 0.8, 6.0))),
    )
    ratio = found.time(Variant.FROZEN, Variant.ZERO)
    assert (ratio.median, ratio.least, ratio.most) == pytest.approx((0.5, 0.4, 0.6))
    assert found.time(Variant.FROZEN, Variant.ZERO, "backward").median == pytest.approx(0.5)
    assert found.time(Variant.CACHED, Variant.ZERO) is None


def test_memory_counts_with_and_without_what_the_imports_hold() -> None:
    found = measured(
        sample(Variant.ZERO, 0, 1.0, base_bytes=100, peak_bytes=300),
        sample(Variant.FROZEN, 0, 1.0, base_bytes=100, peak_bytes=200),
    )
    assert found.memory(Variant.FROZEN, Variant.ZERO).median == 0.5
    assert found.memory(Variant.FROZEN, Variant.ZERO, net=False).median == pytest.approx(2 / 3)


def test_a_variant_that_failed_says_why_and_the_others_stand() -> None:
    failed = Sample(variant=Variant.CACHED, round=0, error="RuntimeError: no")
    found = measured(failed, sample(Variant.ZERO, 0, 1.0))
    assert found.error(Variant.CACHED) == "RuntimeError: no"
    assert found.error(Variant.ZERO) == ""


def test_the_prediction_takes_the_share_under_full_tuning_and_the_feeding_under_the_freeze() -> (
    None
):
    full = sample(Variant.FULL, 0, 1.0, share=0.6, is_prefix=False)
    frozen = sample(Variant.FROZEN, 0, 1.0, share=0.9, is_prefix=True)
    assert predicted([full, frozen]) == Prediction(share=0.6, is_prefix=True)
    assert predicted([full]) is None


def test_a_machine_that_works_for_others_is_told() -> None:
    one = sample(Variant.ZERO, 0, 1.0)
    assert not measured(one, others=0.29).is_loaded
    assert measured(one, others=0.31).is_loaded
