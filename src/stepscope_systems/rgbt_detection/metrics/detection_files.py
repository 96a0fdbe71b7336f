"""KAIST's file of detections: one line `image_id,x,y,w,h,score` each, image_id from 1."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from stepscope_systems.rgbt_detection.metrics.results import Result, detecting

FIELDS = "image_id,x,y,w,h,score"


def write_detections(path: Path, results: Sequence[Result]) -> None:
    """Write every detection, the pairs numbered from 1 in their order."""
    lines = []
    for image_id, result in enumerate(results, start=1):
        for (x1, y1, x2, y2), score in zip(
            result.detected.tolist(), result.scores.tolist(), strict=True
        ):
            lines.append(f"{image_id},{x1!r},{y1!r},{x2 - x1!r},{y2 - y1!r},{score!r}\n")
    path.write_text("".join(lines), encoding="utf-8")


def read_detections(path: Path, results: Sequence[Result]) -> tuple[Result, ...]:
    """Return the same pairs, in their order, with the detections of the file instead.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a line is not six finite numbers, a size is negative, or a pair does not exist.
    """
    rows: list[list[list[float]]] = [[] for _ in results]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            image_id, *box_and_score = _numbers(line, f"{path}:{number}", len(results))
            rows[int(image_id) - 1].append(box_and_score)
    read = []
    for result, found in zip(results, rows, strict=True):
        table = np.array(found, dtype=np.float64).reshape(-1, 5)
        corner, size = table[:, :2], table[:, 2:4]
        read.append(detecting(result, np.hstack([corner, corner + size]), table[:, 4]))
    return tuple(read)


def _numbers(line: str, where: str, pairs: int) -> list[float]:
    try:
        numbers = [float(field) for field in line.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(FIELDS.split(",")) or not np.isfinite(numbers).all():
        raise ValueError(f"{where} is {line!r}; expected six finite numbers: {FIELDS}")
    image_id, _, _, width, height, _ = numbers
    if image_id not in range(1, pairs + 1):
        raise ValueError(
            f"{where} names image {image_id:g}; expected 1 to {pairs}, the pairs of this list: "
            "take the list that the detections were made for"
        )
    if width < 0 or height < 0:
        raise ValueError(
            f"{where} has a box {width:g} wide and {height:g} high; expected x,y,w,h, not corners"
        )
    return numbers
