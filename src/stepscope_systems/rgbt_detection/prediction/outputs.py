"""Predictions as files: JSON lines, COCO's list of results, KAIST's text, drawn pairs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image

from stepscope_systems.rgbt_detection.metrics.detection_files import write_detections
from stepscope_systems.rgbt_detection.metrics.results import Result
from stepscope_systems.rgbt_detection.pictures import colours
from stepscope_systems.rgbt_detection.pictures import marks as pictures
from stepscope_systems.rgbt_detection.prediction.moments import Moment, Pixels

Format = Literal["coco", "kaist"]
JSON_LINES = "predictions.jsonl"
NAMES: dict[Format, str] = {
    "coco": "predictions.coco.json",
    "kaist": "predictions.kaist.txt",
}
_PERSON = 1  # COCO's category
_NARROWEST = 480  # pixels of a drawn image: labels need room


def line(image_id: int, result: Result, notes: Sequence[str]) -> str:
    """Return one line of JSON: the pair, its boxes x1, y1, x2, y2 and scores, the best first.

    `image_id` counts from 1; the other formats know a pair by it alone.
    """
    order = np.argsort(-result.scores, kind="stable")
    content = {
        "image_id": image_id,
        "name": result.name,
        "width": result.width,
        "height": result.height,
        "boxes": result.detected[order].tolist(),
        "scores": result.scores[order].tolist(),
        "notes": list(notes),
    }
    return json.dumps(content, ensure_ascii=False) + "\n"


def write_all(folder: Path, formats: Sequence[Format], results: Sequence[Result]) -> list[Path]:
    """Write what needs every pair at once, the pairs numbered from 1 in their order."""
    written = []
    for form in formats:
        path = folder / NAMES[form]
        if form == "kaist":
            write_detections(path, results)
        else:
            path.write_text(json.dumps(_coco(results)), encoding="utf-8")
        written.append(path)
    return written


def drawn(moment: Moment, result: Result, *, minimum_score: float) -> Image.Image:
    """Draw the detections that reach a score on both images, the surest on top."""
    shown = [
        pictures.Mark(
            box=tuple(result.detected[each].tolist()),
            colour=colours.HIT,
            label=f"{result.scores[each]:.2f}",
        )
        for each in result.scores.argsort(kind="stable")
        if result.scores[each] >= minimum_score
    ]
    return pictures.side_by_side(
        _bits(moment.visible),
        _bits(moment.infrared),
        shown,
        shown,
        panel_width=max(result.width, _NARROWEST),
    )


def _coco(results: Sequence[Result]) -> list[dict[str, int | float | list[float]]]:
    return [
        {
            "image_id": image_id,
            "category_id": _PERSON,
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": score,
        }
        for image_id, result in enumerate(results, start=1)
        for (x1, y1, x2, y2), score in zip(
            result.detected.tolist(), result.scores.tolist(), strict=True
        )
    ]


def _bits(image: Pixels) -> pictures.Pixels:
    return (image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
