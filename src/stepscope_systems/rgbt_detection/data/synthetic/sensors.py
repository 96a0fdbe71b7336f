"""What a camera and a thermal camera see of the same scene."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stepscope_systems.rgbt_detection.data.synthetic.domains import Domain
from stepscope_systems.rgbt_detection.data.synthetic.figures import Figure
from stepscope_systems.rgbt_detection.data.synthetic.people import ASPECT, Silhouette, silhouette

Floats = NDArray[np.float32]

# Of people over their surroundings, by that at night: a warm ground by day, none at crossover.
_WARMTH = {"night": 1.0, "glare": 0.7, "day": 0.03, "crossover": 0.0}


def visible(
    domain: Domain,
    condition: str,
    figures: Sequence[Figure],
    ground: np.random.Generator,
    random: np.random.Generator,
) -> Floats:
    """Return an RGB image in [0, 1], (H, W, 3): good by day, nearly blind at night and in glare."""
    tint = ground.uniform(0.25, 0.7, 3).astype(np.float32)
    image: Floats = tint + 0.35 * (_texture(domain, ground)[..., None] - 0.5)
    _walls(image, domain, ground, spread=0.3)
    for _ in range(int(random.integers(0, domain.decoys + 1))):  # posts, bins, mannequins
        colour = random.uniform(0.05, 0.95, 3).astype(np.float32)
        _decoy(image, domain, random, colour, aspect=float(random.uniform(0.2, 0.45)))
    for figure in figures:
        drawn, window = _drawn(figure, domain)
        skin = np.array([0.8, 0.62, 0.5], np.float32)
        coat, trousers = figure.build.colours
        leather = np.array([0.35, 0.2, 0.1], np.float32)
        for share, colour in (
            (drawn.trousers, trousers),
            (drawn.coat, coat),
            (drawn.skin, skin),
            (drawn.load, leather),
        ):
            patch = image[window]
            patch += (colour - patch) * share[..., None]
    if condition == "night":
        image *= float(random.uniform(0.06, 0.25))
        noise = 0.03
    elif condition == "glare":
        image = 0.75 * image + _glare(domain, random)[..., None]
        noise = 0.03
    else:
        light = (0.35, 0.6) if condition == "crossover" else (0.8, 1.1)  # dusk and dawn
        image *= float(random.uniform(*light))
        noise = 0.015
    return image + random.normal(0, noise, image.shape).astype(np.float32)


def infrared(
    domain: Domain,
    condition: str,
    figures: Sequence[Figure],
    ground: np.random.Generator,
    random: np.random.Generator,
) -> Floats:
    """Return a thermal image in [0, 1], (H, W): people glow at night, and are lost by day."""
    warmth = _WARMTH[condition] * domain.warmth
    base = 0.55 if condition == "day" else 0.3
    image: Floats = base + 0.2 * (_texture(domain, ground) - 0.5)
    _walls(image, domain, ground, spread=0.12)
    for _ in range(int(random.integers(0, domain.decoys + 1))):  # lamps, engines, animals
        glow = np.float32(base + warmth * random.uniform(0.6, 1.4))
        _decoy(image, domain, random, glow, aspect=float(random.uniform(0.7, 2.2)))
    for figure in figures:
        drawn, window = _drawn(figure, domain)
        heat = warmth * figure.build.temperature
        # Added, not laid over: where nobody is warmer than the ground, nobody is to be seen.
        patch = image[window]
        patch += 1.15 * heat * drawn.skin
        patch += 0.8 * heat * np.clip(drawn.coat + drawn.trousers, 0, 1)
        patch -= 0.6 * heat * drawn.load  # what is carried is colder
    return image + random.normal(0, domain.noise, image.shape).astype(np.float32)


def _drawn(figure: Figure, domain: Domain) -> tuple[Silhouette, tuple[slice, slice]]:
    """Return what of a person is inside the image, and the window it falls into."""
    x1, y1, x2, y2 = (round(each) for each in figure.box)
    width, height = max(x2 - x1, 2), max(y2 - y1, 4)
    whole = silhouette(figure.build, width, height, figure.moment)
    rows = slice(max(-y1, 0), height - max(y1 + height - domain.height, 0))
    columns = slice(max(-x1, 0), width - max(x1 + width - domain.width, 0))
    foot = round(height * (1 - figure.hidden))
    parts = {}
    for name in ("skin", "coat", "trousers", "load"):
        part = getattr(whole, name).copy()
        part[foot:] = 0  # behind a post or a wall
        parts[name] = part[rows, columns]
    window = (
        slice(y1 + rows.start, y1 + rows.stop),
        slice(x1 + columns.start, x1 + columns.stop),
    )
    return Silhouette(**parts), window


def _decoy(
    image: Floats,
    domain: Domain,
    random: np.random.Generator,
    value: Floats | np.float32,
    aspect: float,
) -> None:
    """Put something of a person's size there that is none: an ellipse or a box."""
    height = random.uniform(domain.smallest * 0.6, domain.largest * 0.8)
    width = height * aspect * (1 if aspect < ASPECT * 1.2 else 0.6)
    x, y = random.uniform(0, domain.width), random.uniform(domain.height * 0.3, domain.height)
    rows, columns = np.mgrid[: domain.height, : domain.width].astype(np.float32)
    across, along = (
        np.abs(columns - x) / (width / 2),
        np.abs(rows - (y - height / 2)) / (height / 2),
    )
    is_round = random.random() < 0.5  # noqa: PLR2004 - as often as not
    image[across**2 + along**2 < 1 if is_round else np.maximum(across, along) < 1] = value


def _walls(image: Floats, domain: Domain, ground: np.random.Generator, spread: float) -> None:
    """Lay standing boxes of another brightness: houses, cars, windows."""
    for _ in range(int(ground.integers(2, 6))):
        x, y = ground.uniform(0, domain.width), ground.uniform(0, domain.height)
        width, height = ground.uniform(8, 50), ground.uniform(8, 40)
        window = (
            slice(max(int(y - height), 0), max(int(y), 1)),
            slice(max(int(x), 0), min(int(x + width), domain.width)),
        )
        image[window] += np.float32(ground.uniform(-spread, spread))


def _texture(domain: Domain, ground: np.random.Generator) -> Floats:
    """Return smooth noise of several scales, in [0, 1]. (H, W)."""
    total = np.zeros((domain.height, domain.width), np.float32)
    for cells, weight in ((4, 0.5), (12, 0.3), (40, 0.2)):
        coarse = ground.random((cells, cells), np.float32)
        layer = Image.fromarray(coarse).resize(
            (domain.width, domain.height), Image.Resampling.BICUBIC
        )
        total += weight * np.asarray(layer)
    return total


def _glare(domain: Domain, random: np.random.Generator) -> Floats:
    """Return the light of headlamps or a low sun. (H, W)."""
    rows, columns = np.mgrid[: domain.height, : domain.width].astype(np.float32)
    light = np.zeros((domain.height, domain.width), np.float32)
    for _ in range(2):
        x, y = random.uniform(0, domain.width), random.uniform(0, domain.height)
        reach = random.uniform(0.2, 0.4) * domain.width
        light += np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * reach**2))
    return 0.8 * light
