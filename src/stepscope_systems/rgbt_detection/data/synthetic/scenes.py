"""Draws one frame of a scene: who stands where, and what each sensor sees of it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from stepscope_systems.rgbt_detection.data.pairs import Box, Person
from stepscope_systems.rgbt_detection.data.synthetic import sensors
from stepscope_systems.rgbt_detection.data.synthetic.domains import Domain
from stepscope_systems.rgbt_detection.data.synthetic.figures import Figure, place
from stepscope_systems.rgbt_detection.data.synthetic.people import Build, some_build

_CROWD = 8  # people who pass through one scene


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What was drawn: both images, 8 bits, and who is on them."""

    visible: NDArray[np.uint8]  # (H, W, 3)
    infrared: NDArray[np.uint8]  # (H, W)
    people: tuple[Person, ...]
    is_infrared_missing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One place under one condition, and the people who pass."""

    domain: Domain
    number: int
    condition: str
    crowd: tuple[Build, ...]
    seed: int

    def ground(self, sensor: int) -> np.random.Generator:
        """Return the chance that draws the standing parts; the same for every frame."""
        cue = 0 if self.domain.has_shared_cue else sensor
        return np.random.default_rng((self.seed, self.number, 0, cue))


def some_scene(domain: Domain, number: int, condition: str, seed: int) -> Scene:
    """Return a place with its own crowd; identities are unique in the whole data set."""
    random = np.random.default_rng((seed, number, 0))
    crowd = tuple(some_build(random, number * _CROWD + each) for each in range(_CROWD))
    return Scene(domain=domain, number=number, condition=condition, crowd=crowd, seed=seed)


def draw(scene: Scene, frame: int) -> Frame:
    """Draw a frame; the same scene, frame and seed give the same bits."""
    domain = scene.domain
    random = np.random.default_rng((scene.seed, scene.number, 1 + frame))
    figures = place(domain, scene.crowd, random)
    seen_warm, weather = figures, scene.condition
    if not domain.has_shared_cue:
        strangers = [some_build(random, each.build.identity) for each in figures]
        placed = place(domain, tuple(strangers), random, count=len(figures))
        # Neither their order by distance nor the time of day may tell who belongs to whom.
        seen_warm = [placed[each] for each in random.permutation(len(placed))]
        names, shares = zip(*domain.conditions, strict=True)
        weather = str(random.choice(names, p=shares))
    shift = _shift(domain, seen_warm, random)
    visible = sensors.visible(domain, scene.condition, figures, scene.ground(0), random)
    infrared = sensors.infrared(domain, weather, seen_warm, scene.ground(1), random)
    right, down = shift
    infrared = np.pad(infrared, ((down, 0), (right, 0)), mode="edge")
    infrared = infrared[: domain.height, : domain.width]
    is_missing = bool(random.random() < domain.missing)
    if is_missing:
        infrared = np.zeros_like(infrared)
    people = []
    for mine, warm in zip(figures, seen_warm, strict=True):
        boxes = (_inside(domain, mine.box), _inside(domain, _moved(warm.box, shift)))
        people.append(
            Person(
                visible=boxes[0],
                infrared=boxes[1],
                occlusion=mine.occlusion,  # type: ignore[arg-type]
                identity=mine.build.identity,
            )
        )
    return Frame(
        visible=_bits(visible),
        infrared=_bits(infrared),
        people=tuple(people),
        is_infrared_missing=is_missing,
    )


def _shift(
    domain: Domain, figures: Sequence[Figure], random: np.random.Generator
) -> tuple[int, int]:
    """Return how far right and down the infrared image lies; nobody may leave it."""
    right, down = (int(each) for each in random.integers(0, domain.misalignment + 1, 2))
    while any(_is_lost(_inside(domain, _moved(each.box, (right, down)))) for each in figures):
        right, down = right // 2, down // 2
    return right, down


def _is_lost(box: Box) -> bool:
    return box[0] >= box[2] or box[1] >= box[3]


def _moved(box: Box, shift: tuple[int, int]) -> Box:
    return (box[0] + shift[0], box[1] + shift[1], box[2] + shift[0], box[3] + shift[1])


def _inside(domain: Domain, box: Box) -> Box:
    x1, x2 = (float(np.clip(round(x), 0, domain.width)) for x in (box[0], box[2]))
    y1, y2 = (float(np.clip(round(y), 0, domain.height)) for y in (box[1], box[3]))
    return (x1, y1, x2, y2)


def _bits(image: NDArray[np.float32]) -> NDArray[np.uint8]:
    return (np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
