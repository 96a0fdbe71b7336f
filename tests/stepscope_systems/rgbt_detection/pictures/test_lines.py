"""Curves begin where nobody is found, and are drawn whatever their values."""

import base64
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from stepscope_systems.rgbt_detection.metrics.average_precision import AveragePrecision
from stepscope_systems.rgbt_detection.metrics.miss_rate import FPPI_POINTS, MissRate
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures.figures import Picture
from stepscope_systems.rgbt_detection.pictures.lines import (
    miss_rate_line,
    miss_rate_picture,
    precision_recall_line,
    precision_recall_picture,
)


def missed(fppi: list[float], rate: list[float]) -> MissRate:
    return MissRate(
        log_average=0.25,
        at_points=np.full(9, 0.25),
        fppi=np.array(fppi),
        rate=np.array(rate),
        people=4,
        pairs=10,
    )


def precision(value: float) -> AveragePrecision:
    recall = np.linspace(0, 1, 101)
    return AveragePrecision(ap=value, ap50=value, ap75=value, recall=recall,
                            precision=np.full(101, value), people=3, pairs=2)  # fmt: skip


def drawing(picture: Picture) -> ET.Element:
    kind, _, content = picture.source.partition(",")
    assert kind == "data:image/svg+xml;base64"
    return ET.fromstring(base64.b64decode(content))  # noqa: S314 - our own


def test_a_miss_rate_begins_with_everybody_missed_and_stays_at_its_end() -> None:
    line = miss_rate_line("fused", missed([0.0, 0.1, 0.1], [0.75, 0.75, 0.5]))
    assert line.y.tolist() == [1.0, 0.75, 0.75, 0.5, 0.5]
    assert line.x[0] < FPPI_POINTS[0]
    assert line.x[-1] > FPPI_POINTS[-1]
    assert line.score == "MR 25.00 %"


def test_a_detector_without_a_detection_misses_everybody_everywhere() -> None:
    assert miss_rate_line("fused", missed([], [])).y.tolist() == [1.0, 1.0]


def test_nobody_missed_is_drawn_at_the_end_of_the_logarithmic_axis() -> None:
    line = miss_rate_line("fused", missed([0.0, 0.0], [0.5, 0.0]))
    assert drawing(miss_rate_picture([line])).tag.endswith("svg")


@pytest.mark.parametrize("value", [0.5, float("nan")])
def test_each_curve_is_named_with_its_score(value: float) -> None:
    lines = [precision_recall_line(name, precision(value)) for name in ("fused", "visible only")]
    picture = precision_recall_picture(lines)
    assert f"fused, AP50 {value:.3f}; visible only, AP50 {value:.3f}" in picture.description
    drawing(picture)


def test_the_ink_of_a_chart_follows_light_and_dark_paper() -> None:
    text = base64.b64decode(
        precision_recall_picture([precision_recall_line("fused", precision(0.5))]).source
        .partition(",")[2]
    ).decode()  # fmt: skip
    assert "prefers-color-scheme: dark" in text
    assert "var(--c3)" in text
    assert "#01020" not in text
    assert "#000000" not in text


def test_a_modality_has_its_own_colour_and_no_two_curves_share_one() -> None:
    names = ["infrared only", "fused", "plain sum", "visible only", "max"]
    given = dict(zip(names, colours.of_series(names), strict=True))
    assert given["infrared only"] == colours.INFRARED
    assert given["visible only"] == colours.VISIBLE
    assert len(set(given.values())) == len(names)
