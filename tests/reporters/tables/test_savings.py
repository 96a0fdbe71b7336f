"""The table of what freezing saves."""

import json

import pytest

from stepscope.evidence.savings import Measured, Prediction, Sample, Step, Variant
from stepscope.reporters.tables.grid import FORMATS
from stepscope.reporters.tables.savings import render

MEASURED = Measured(
    target="train|py\x1b[31m",
    patterns=("backbone",),
    device="cpu",
    processors=2,
    others=1.0,
    predicted=Prediction(share=0.7, is_prefix=True),
    samples=(
        *(
            Sample(
                variant=variant,
                round=number,
                steps=(Step(forward=0.1, backward=seconds, optimizer=0.1),),
                base_bytes=100 << 20,
                peak_bytes=peak << 20,
            )
            for number in range(2)
            for variant, seconds, peak in (
                (Variant.FULL, 0.8, 300),
                (Variant.ZERO, 0.8, 300),
                (Variant.FROZEN, 0.2 + number / 10, 200),
            )
        ),
        Sample(variant=Variant.CACHED, round=0, error="RuntimeError: no"),
    ),
)


@pytest.mark.parametrize("form", ["text", "markdown"])
def test_ratios_prediction_failure_and_load_are_told(form: str) -> None:
    table = render(MEASURED, form)
    assert "0.45 (0.40-0.50)" in table
    assert (
        "Predicted: a step 1.88x as fast as full tuning, 0.30 of its backward; "
        "measured 2.22x (2.00-2.50), 0.31 (0.25-0.38)."
    ) in table
    assert "0.50 (0.50-0.50)" in table  # net memory: (200 - 100) of (300 - 100)
    assert "cached: RuntimeError: no" in table
    assert "1.0 of 2 processors" in table
    assert "\x1b" not in table
    assert table.endswith("\n")


def test_the_text_fits_a_terminal() -> None:
    lines = render(MEASURED, "text").splitlines()
    assert max(len(line) for line in lines[: lines.index("", 9)]) <= 100


def test_json_holds_every_sample() -> None:
    read = json.loads(render(MEASURED, "json"))
    assert read["version"] == 1
    assert len(read["samples"]) == 7
    assert read["ratios"]["frozen"]["lr 0"]["step"]["median"] == pytest.approx(0.45)
    assert FORMATS == ("text", "json", "markdown")
