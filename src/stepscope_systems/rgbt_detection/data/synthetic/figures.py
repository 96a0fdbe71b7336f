"""Places people on the ground of a scene."""

from dataclasses import dataclass

import numpy as np

from stepscope_systems.rgbt_detection.data.pairs import Box
from stepscope_systems.rgbt_detection.data.synthetic.domains import Domain
from stepscope_systems.rgbt_detection.data.synthetic.people import ASPECT, Build

_TRIES = 60  # to find room for a person
_COVERED = 0.1  # of the smaller one's box, by another person


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A person in a frame."""

    build: Build
    box: Box  # may reach over the border of the image
    occlusion: int  # 0 none, 1 partial, 2 heavy
    hidden: float  # share of the height that a post or wall hides, from below
    moment: float  # of the gait, radians


def place(
    domain: Domain, crowd: tuple[Build, ...], random: np.random.Generator, count: int | None = None
) -> list[Figure]:
    """Stand some of a crowd on the ground, far ones first, hardly covering one another."""
    if count is None:
        count = int(random.choice(len(domain.people), p=domain.people))
    chosen = random.permutation(len(crowd))[:count]
    figures: list[Figure] = []
    for each in chosen:
        for _ in range(_TRIES):
            figure = _figure(domain, crowd[each], random)
            if all(_overlap(figure.box, other.box) < _COVERED for other in figures):
                break
        figures.append(figure)
    return sorted(figures, key=lambda each: each.box[3])


def _figure(domain: Domain, build: Build, random: np.random.Generator) -> Figure:
    depth = float(random.uniform(0, 1))  # 0: far away
    height = domain.smallest + (domain.largest - domain.smallest) * depth
    width = height * ASPECT * float(random.uniform(0.9, 1.1))
    far = domain.horizon[1] * domain.height + domain.smallest
    foot = far + (domain.height + 4 - far) * (0.15 + 0.85 * depth) * float(random.uniform(0.8, 1))
    left = float(random.uniform(-0.2 * width, domain.width - 0.8 * width))
    box = (left, foot - height, left + width, foot)
    occlusion = int(random.choice(3, p=(0.8, 0.15, 0.05)))
    hidden = (0.0, float(random.uniform(0.15, 0.3)), float(random.uniform(0.4, 0.55)))[occlusion]
    moment = float(random.uniform(-0.3, 0.3))
    return Figure(build=build, box=box, occlusion=occlusion, hidden=hidden, moment=moment)


def _overlap(one: Box, other: Box) -> float:
    """Return the intersection by the smaller area."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(width, 0) * max(height, 0) / min(areas)
