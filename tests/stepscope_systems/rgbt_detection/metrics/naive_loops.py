"""The metrics of boxes once more, in plain loops, as oracles."""

import math
from dataclasses import dataclass

from stepscope_systems.rgbt_detection.metrics.results import Result

Box = list[float]


@dataclass
class Guess:
    pair: int
    score: float
    fate: str  # found, wrong, excused


def overlap(detected: Box, box: Box, *, ignored: bool) -> float:
    width = min(detected[2], box[2]) - max(detected[0], box[0])
    height = min(detected[3], box[3]) - max(detected[1], box[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = (detected[2] - detected[0]) * (detected[3] - detected[1])
    if ignored:
        return width * height / area
    return width * height / (area + (box[2] - box[0]) * (box[3] - box[1]) - width * height)


def judge(
    results: list[Result], ignored: list[list[bool]], threshold: float, most: int
) -> list[Guess]:
    """Give each detection its fate, over all pairs, best score first."""
    guesses = []
    for number, each in enumerate(results):
        free = {g for g in range(len(each.boxes)) if not ignored[number][g]}
        rows = sorted(range(len(each.scores)), key=lambda d: -each.scores[d])[:most]
        for row in rows:
            detected = each.detected[row].tolist()
            best, best_overlap = None, threshold
            for g in sorted(free):
                value = overlap(detected, each.boxes[g].tolist(), ignored=False)
                if value >= best_overlap:
                    best, best_overlap = g, value
            fate = "wrong"
            if best is not None:
                free.remove(best)
                fate = "found"
            else:
                for g, flag in enumerate(ignored[number]):
                    box = each.boxes[g].tolist()
                    if flag and overlap(detected, box, ignored=True) >= threshold:
                        fate = "excused"
            guesses.append(Guess(number, float(each.scores[row]), fate))
    return sorted(guesses, key=lambda guess: -guess.score)


def log_average_miss_rate(
    results: list[Result],
    *,
    heights: tuple[float, float],
    occlusion: tuple[int, ...],
    compat: bool = False,
) -> float:
    """Return MR^-2 over 640x512 images; NaN when nobody is to be found."""
    ignored = []
    for each in results:
        flags = []
        for g, (x1, y1, x2, y2) in enumerate(each.boxes.tolist()):
            to_be_found = (
                not each.ignore[g]
                and each.label[g] == "person"
                and each.occlusion[g] in occlusion
                and heights[0] <= y2 - y1 <= heights[1]
                and x1 >= 5
                and y1 >= 5
                and x2 <= 635
                and y2 <= 507
            )
            flags.append(not to_be_found)
        ignored.append(flags)
    people = sum(
        flags.count(False)
        for each, flags in zip(results, ignored, strict=True)
        if len(each.scores) or not compat
    )
    if people == 0:
        return math.nan
    guesses = [guess for guess in judge(results, ignored, 0.5, 1000) if guess.fate != "excused"]
    rates = []
    for point in (0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0):
        found = wrong = 0
        for guess in guesses:
            if wrong + (guess.fate == "wrong") > point * len(results) + 1e-12:
                break
            wrong += guess.fate == "wrong"
            found += guess.fate == "found"
        starts_wrong = guesses and guesses[0].fate == "wrong" and 1 / len(results) > point
        if compat and starts_wrong:
            found = sum(guess.fate == "found" for guess in guesses)
        rates.append(1 - found / people)
    if min(rates) == 0:
        return 0.0
    return math.exp(sum(math.log(rate) for rate in rates) / 9)


def coco_average_precision(results: list[Result], threshold: float) -> float:
    """Return AP at one overlap: the mean over 101 recalls of the best precision from there on."""
    ignored = [
        [bool(each.ignore[g]) or each.label[g] != "person" for g in range(len(each.boxes))]
        for each in results
    ]
    people = sum(flags.count(False) for flags in ignored)
    found = wrong = 0
    curve = []
    for guess in judge(results, ignored, threshold, 100):
        found += guess.fate == "found"
        wrong += guess.fate == "wrong"
        if guess.fate != "excused":
            curve.append((found / people, found / (found + wrong)))
    best = [
        max((precision for recall, precision in curve if recall >= step / 100), default=0.0)
        for step in range(101)
    ]
    return sum(best) / 101
