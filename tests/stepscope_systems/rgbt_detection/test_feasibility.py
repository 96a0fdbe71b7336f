"""Pairs, batches and warm-up are held against each other before a run begins."""

from dataclasses import replace

import pytest

from stepscope_systems.rgbt_detection.config import Config, nano
from stepscope_systems.rgbt_detection.feasibility import expect_feasible


def run(
    *, batch: int = 4, devices: int = 1, accumulate: int = 1, warmup: int = 0, epochs: int = 1
) -> Config:
    start = nano()
    return replace(
        start,
        data=replace(start.data, batch=batch),
        optimizer=replace(start.optimizer, accumulate=accumulate, warmup_steps=warmup),
        run=replace(start.run, devices=devices, epochs=epochs),
    )


@pytest.mark.parametrize(("pairs", "devices"), [(4, 1), (9, 2), (8, 2)])
def test_a_batch_for_each_process_is_enough(pairs: int, devices: int) -> None:
    expect_feasible(run(devices=devices), pairs)


@pytest.mark.parametrize(("pairs", "devices"), [(3, 1), (7, 2), (0, 1)])
def test_less_than_a_batch_for_each_process_is_refused(pairs: int, devices: int) -> None:
    with pytest.raises(
        ValueError,
        match=f"{pairs} training pairs make no batch of 4 for each of {devices} processes; "
        f"expected data.batch of {pairs // devices} or less",
    ):
        expect_feasible(run(devices=devices), pairs)


@pytest.mark.parametrize(
    ("options", "pairs", "steps"),
    [
        ({}, 12, 3),
        ({"epochs": 2}, 15, 6),  # what does not fill a batch is left out
        ({"accumulate": 2}, 12, 2),  # the last step of an epoch takes what there is
        ({"devices": 3}, 24, 2),
    ],
)
def test_a_warm_up_must_end_before_the_last_step(
    options: dict[str, int], pairs: int, steps: int
) -> None:
    expect_feasible(run(warmup=steps - 1, **options), pairs)
    with pytest.raises(ValueError, match=f"warmup_steps is {steps}, and the run has {steps} opt"):
        expect_feasible(run(warmup=steps, **options), pairs)
