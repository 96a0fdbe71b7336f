"""Gates are shown on one scale, and refused outside of it."""

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.pictures.gates import Gates, gates_picture


def gates(value: float, name: str = "190001") -> Gates:
    level = np.full((4, 5), value)
    return Gates(
        name=name,
        visible_image=np.full((16, 20, 3), 90, np.uint8),
        infrared_image=np.full((16, 20), 90, np.uint8),
        visible={"level 0": level},
        infrared={"level 0": np.ones((4, 5))},
    )


@pytest.mark.parametrize("value", [0.5, 1.0, 1.5])
def test_every_value_that_msp_can_give_is_drawn(value: float) -> None:
    assert f"visible {value:.3f}, infrared 1.000" in gates_picture(gates(value)).caption


@pytest.mark.parametrize("value", [0.499, 1.501, float("nan")])
def test_what_msp_cannot_give_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"190001: the visible gate of level 0 reaches from"):
        gates_picture(gates(value))


def test_gates_that_differ_make_pictures_that_differ() -> None:
    sources = {gates_picture(gates(value)).source for value in (0.9, 1.0, 1.1)}
    assert len(sources) == 3


def test_a_name_with_dollar_signs_is_no_formula() -> None:
    assert "a$_b$" in gates_picture(gates(1.0, name="a$_b$")).caption
