"""People as silhouettes: articulated, of many builds, the same from frame to frame."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

ASPECT = 0.41  # width of a person by its height; the mean in KAIST and Caltech
_FINE = 4  # silhouettes are drawn larger and averaged down: soft borders


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """What one can tell a person by in both modalities, and what only one of them shows."""

    identity: int
    girth: float  # width of the torso by the usual one
    stride: float  # how far the legs spread, 0 to 1
    phase: float  # of the gait, radians
    load: str  # what is carried: "none", "backpack", "bag"
    colours: NDArray[np.float32]  # (2, 3) of coat and trousers; visible only
    temperature: float  # by the usual one; infrared only


@dataclass(frozen=True, slots=True, kw_only=True)
class Silhouette:
    """A drawn person: shares in [0, 1] of each pixel of its box, by part."""

    skin: NDArray[np.float32]  # (h, w)
    coat: NDArray[np.float32]
    trousers: NDArray[np.float32]
    load: NDArray[np.float32]

    @property
    def body(self) -> NDArray[np.float32]:
        """Everything of the person, without what it carries. (h, w)."""
        whole: NDArray[np.float32] = np.clip(self.skin + self.coat + self.trousers, 0, 1)
        return whole


def some_build(random: np.random.Generator, identity: int) -> Build:
    """Return a new person."""
    return Build(
        identity=identity,
        girth=float(random.uniform(0.75, 1.3)),
        stride=float(random.uniform(0.15, 1.0)),
        phase=float(random.uniform(0, 2 * np.pi)),
        load=str(random.choice(["none", "backpack", "bag"])),
        colours=random.uniform(0.05, 0.95, (2, 3)).astype(np.float32),
        temperature=float(random.uniform(0.8, 1.2)),
    )


def silhouette(build: Build, width: int, height: int, moment: float) -> Silhouette:
    """Draw a person into a box of so many pixels, at a moment (radians) of its gait."""
    swing = build.stride * float(np.sin(build.phase + moment))
    girth = build.girth
    loads: dict[str, list[_Part]] = {
        "none": [],
        "backpack": [_Ellipse(0.5 - 0.3 * girth, 0.3, 0.16, 0.13)],
        "bag": [_Ellipse(0.82, 0.6, 0.17, 0.09)],
    }
    size = (width, height)
    return Silhouette(
        skin=_drawn([_Ellipse(0.5, 0.07, 0.11, 0.07)], size),
        coat=_drawn(
            [
                _Ellipse(0.5, 0.33, 0.24 * girth, 0.2),
                _Limb((0.5, 0.2), (0.5 + 0.38 * swing, 0.5), 0.1),
                _Limb((0.5, 0.2), (0.5 - 0.38 * swing, 0.5), 0.1),
            ],
            size,
        ),
        trousers=_drawn(
            [
                _Limb((0.45, 0.48), (0.5 + 0.36 * swing, 0.98), 0.15),
                _Limb((0.55, 0.48), (0.5 - 0.36 * swing, 0.98), 0.15),
            ],
            size,
        ),
        load=_drawn(loads[build.load], size),
    )


# Places and lengths are shares of the box: of its width across, of its height along.
@dataclass(frozen=True, slots=True)
class _Ellipse:
    x: float
    y: float
    across: float  # half axes
    along: float

    def paint(self, draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        left, right = (self.x - self.across) * width, (self.x + self.across) * width
        top, bottom = (self.y - self.along) * height, (self.y + self.along) * height
        draw.ellipse((left, top, right, bottom), fill=255)


@dataclass(frozen=True, slots=True)
class _Limb:
    start: tuple[float, float]
    end: tuple[float, float]
    thick: float  # by the width

    def paint(self, draw: ImageDraw.ImageDraw, width: int, height: int) -> None:
        points = [(x * width, y * height) for x, y in (self.start, self.end)]
        draw.line(points, fill=255, width=max(1, round(self.thick * width)))


_Part = _Ellipse | _Limb


def _drawn(parts: list[_Part], size: tuple[int, int]) -> NDArray[np.float32]:
    width, height = (each * _FINE for each in size)
    canvas = Image.new("L", (width, height))
    for part in parts:
        part.paint(ImageDraw.Draw(canvas), width, height)
    small = canvas.resize(size, Image.Resampling.BOX)
    return np.asarray(small, np.float32) / np.float32(255)
