"""A milestone is read strictly, and its bound means what it says."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepscope.configurations.settings import load
from stepscope.evidence.intent import Intent
from stepscope.evidence.milestones import Milestone, parsed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("epoch 5: acc > 0.2", ("epoch", 5, "acc", ">", 0.2, False)),
        ("step 50: loss_region < 0.72 of chance", ("step", 50, "loss_region", "<", 0.72, True)),
        ("step 1:val/acc@1>=1e-3", ("step", 1, "val/acc@1", ">=", 1e-3, False)),
        ("  epoch  12 : train loss <= -.5 ", ("epoch", 12, "train loss", "<=", -0.5, False)),
    ],
)
def test_what_people_write_is_read(text: str, expected: tuple[object, ...]) -> None:
    found = parsed(text)
    assert expected == (
        found.unit,
        found.after,
        found.name,
        found.sign,
        found.bound,
        found.of_chance,
    )


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("acc > 0.2", "begins with no moment"),
        ("epoch five: acc > 0.2", "begins with no moment"),
        ("epoch 5 acc > 0.2", "begins with no moment"),
        ("epoch -5: acc > 0.2", "begins with no moment"),
        ("epoch 0: acc > 0.2", "falls due before the first epoch; count from 1"),
        ("epoch 5: acc", "has no bound after the colon"),
        ("epoch 5: acc = 0.2", "has no bound after the colon"),
        ("epoch 5: > 0.2", "has no bound after the colon"),
        ("epoch 5: acc > 20 %", "has no bound after the colon"),
        ("epoch 5: acc > 0.2 > 0.1", "has no bound after the colon"),
    ],
)
def test_what_is_written_otherwise_is_refused_when_the_settings_are_loaded(
    tmp_path: Path, text: str, part: str
) -> None:
    file = tmp_path / "stepscope.toml"
    file.write_text(f'[intent]\nmilestones = ["epoch 1: acc > 0.1", "{text}"]\n')
    with pytest.raises(ValueError, match=r"stepscope\.toml: intent: milestones: ") as refused:
        load(file, ())
    assert f"{text!r} {part}" in str(refused.value)
    with pytest.raises(ValueError, match=r"^milestones: "):
        Intent(milestones=(text,))


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(value=finite, bound=finite)
def test_a_bound_holds_as_python_compares(value: float, bound: float) -> None:
    def holds(sign: str) -> bool:
        milestone = Milestone(
            text="", unit="step", after=1, name="a", sign=sign, bound=bound, of_chance=False
        )
        assert not milestone.holds(math.nan)
        return milestone.holds(value)

    assert holds("<") is (value < bound)
    assert holds("<=") is (value <= bound)
    assert holds(">") is (value > bound)
    assert holds(">=") is (value >= bound)
