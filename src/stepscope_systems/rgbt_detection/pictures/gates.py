"""The gates of MSP: where each modality is turned up or down."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from PIL import Image

from stepscope_systems.rgbt_detection.metrics.results import Floats
from stepscope_systems.rgbt_detection.pictures.figures import (
    INK,
    QUIET,
    Picture,
    axes,
    chart,
    plain,
)
from stepscope_systems.rgbt_detection.pictures.marks import Pixels

LOWEST, HIGHEST = 0.5, 1.5  # 1/2 + sigmoid: system document, section 3.2; 1 changes nothing
_WIDEST = 320  # pixels of an image in the grid
_OPACITY = 0.55  # of the gate over the image
_MAP = "RdBu_r"  # blue: turned down, white: as it was, red: turned up


@dataclass(frozen=True, slots=True, kw_only=True)
class Gates:
    """The gates of one pair, by the name of the pyramid's level, the finest first."""

    name: str
    visible_image: Pixels  # (H, W, 3)
    infrared_image: Pixels  # (H, W) or (H, W, 3)
    visible: Mapping[str, Floats]  # (h, w) each, between .5 and 1.5
    infrared: Mapping[str, Floats]


def gates_picture(gates: Gates) -> Picture:
    """Lay each level's gate over the grey image of its modality; the scale is always the same.

    Raises:
        ValueError: a gate leaves (.5, 1.5), which no gate of MSP can.
    """
    rows = (
        ("visible", gates.visible_image, gates.visible),
        ("infrared", gates.infrared_image, gates.infrared),
    )
    levels = list(gates.visible)
    height, width = gates.visible_image.shape[:2]
    columns = len(levels) + 1
    side = 9.0 / columns
    tall = 2 * (side * height / width + 0.5)
    figure, grid = axes(10.2, tall, rows=2, columns=columns)
    for row, (modality, image, maps) in enumerate(rows):
        line = grid[row * columns : (row + 1) * columns]
        grey = _grey(image)
        _bare(line[0], grey, modality)
        for place, level in zip(line[1:], levels, strict=True):
            gate = _checked(maps[level], f"{gates.name}: the {modality} gate of {level}")
            spread = f"{gate.min():.3f} to {gate.max():.3f}"
            _bare(place, _overlaid(grey, gate), level, spread)
    scale = ScalarMappable(Normalize(LOWEST, HIGHEST), _MAP)
    bar = figure.colorbar(scale, ax=grid, shrink=0.75, aspect=26, pad=0.015)
    bar.set_ticks(
        [0.5, 0.75, 1.0, 1.25, 1.5], labels=["0.5", "0.75", "1 (as it was)", "1.25", "1.5"]
    )
    bar.ax.tick_params(colors=QUIET, labelsize=8, length=0)
    bar.outline.set_visible(False)
    means = ", ".join(
        f"{modality} {np.mean([np.mean(each) for each in maps.values()]):.3f}"
        for modality, _, maps in rows
    )
    return chart(
        figure,
        description=f"Gates of pair {gates.name} over its images. Mean gate: {means}.",
        caption=f"{gates.name} · mean gate: {means}",
    )


def _bare(place: Axes, pixels: Pixels, title: str, below: str = "") -> None:
    # "none" lets the file hold the pixels as they are, for the reader's program to enlarge.
    place.imshow(pixels, interpolation="none")
    place.set_title(plain(title), color=INK, fontsize=9, loc="left")
    place.set_xlabel(below, color=QUIET, fontsize=8)
    place.set_xticks([])
    place.set_yticks([])
    place.grid(visible=False)
    place.spines[:].set_visible(False)


def _grey(image: Pixels) -> Pixels:
    """Return an image as grey RGB, at most as wide as its place. (h, w, 3)."""
    whole = Image.fromarray(image).convert("L").convert("RGB")
    whole.thumbnail((_WIDEST, _WIDEST))
    return np.asarray(whole)


def _overlaid(grey: Pixels, gate: Floats) -> Pixels:
    """Lay a gate over a grey image, each of its cells a rectangle. (h, w, 3)."""
    shares = Normalize(LOWEST, HIGHEST)(gate)
    colour = (colormaps[_MAP](shares)[..., :3] * 255).astype(np.uint8)
    height, width = grey.shape[:2]
    layer = Image.fromarray(colour).resize((width, height), Image.Resampling.NEAREST)
    return np.asarray(Image.blend(Image.fromarray(grey), layer, _OPACITY))


def _checked(gate: Floats, name: str) -> Floats:
    if not (np.isfinite(gate).all() and gate.min() >= LOWEST and gate.max() <= HIGHEST):
        raise ValueError(
            f"{name} reaches from {gate.min():.3f} to {gate.max():.3f}; expected values between "
            f"{LOWEST} and {HIGHEST}: pass what Detector.gates returns, unchanged"
        )
    return gate
