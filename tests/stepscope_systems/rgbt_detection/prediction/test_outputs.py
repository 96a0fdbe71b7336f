"""Files hold every detection, in formats that their evaluators read."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import ImageColor

from stepscope_systems.rgbt_detection.metrics.detection_files import read_detections
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.prediction.moments import paired
from stepscope_systems.rgbt_detection.prediction.outputs import drawn, line, write_all


def result(name: str, found: list[tuple[list[float], float]]) -> Result:
    return Result(
        name=name,
        condition="unknown",
        boxes=np.empty((0, 4)),
        ignore=np.empty(0, np.bool_),
        occlusion=np.empty(0, np.int64),
        label=(),
        detected=np.array([box for box, _ in found]).reshape(-1, 4),
        scores=np.array([score for _, score in found]),
        width=80,
        height=64,
    )


RESULTS = [
    result("a", []),
    result("b", [([10.0, 20, 30, 50], 0.25), ([1.5, 2, 3, 4.25], 0.75)]),
]


def test_a_line_holds_a_pair_the_surest_detection_first() -> None:
    text = line(2, RESULTS[1], ["infrared is missing"])
    assert text.endswith("\n")
    assert "\n" not in text[:-1]
    assert json.loads(text) == {
        "image_id": 2,
        "name": "b",
        "width": 80,
        "height": 64,
        "boxes": [[1.5, 2, 3, 4.25], [10, 20, 30, 50]],
        "scores": [0.75, 0.25],
        "notes": ["infrared is missing"],
    }


def test_the_coco_list_has_corner_and_size_and_counts_pairs_from_one(tmp_path: Path) -> None:
    (path,) = write_all(tmp_path, ["coco"], RESULTS)
    assert json.loads(path.read_text()) == [
        {"image_id": 2, "category_id": 1, "bbox": [10, 20, 20, 30], "score": 0.25},
        {"image_id": 2, "category_id": 1, "bbox": [1.5, 2, 1.5, 2.25], "score": 0.75},
    ]


def test_kaists_text_is_read_back_as_it_was(tmp_path: Path) -> None:
    coco, kaist = write_all(tmp_path, ["coco", "kaist"], RESULTS)
    assert (coco.name, kaist.name) == ("predictions.coco.json", "predictions.kaist.txt")
    for before, after in zip(RESULTS, read_detections(kaist, RESULTS), strict=True):
        assert np.allclose(before.detected, after.detected)
        assert np.array_equal(before.scores, after.scores)


@pytest.mark.parametrize(("minimum_score", "is_drawn"), [(0.75, True), (0.76, False)])
def test_only_what_reaches_the_score_is_drawn(minimum_score: float, *, is_drawn: bool) -> None:
    moment = paired("b", np.zeros((64, 80, 3), np.float32), np.zeros((64, 80), np.float32))
    picture = np.asarray(drawn(moment, RESULTS[1], minimum_score=minimum_score))
    seen = (picture == ImageColor.getrgb(colours.HIT)).all(axis=-1).any()
    assert seen == is_drawn
