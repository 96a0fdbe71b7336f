"""A pair of images that is to be predicted, whatever it was read from."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stepscope_systems.rgbt_detection.data.pairs import Modality

Pixels = NDArray[np.float32]  # in [0, 1]

# What stands for a modality that is missing: black, as where training blanks one on purpose.
FILL = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """What both sensors saw at one time; both images have the size of the visible one."""

    name: str
    visible: Pixels  # (H, W, 3)
    infrared: Pixels  # (H, W)
    notes: tuple[str, ...] = ()  # what was done to make them a pair

    @property
    def size(self) -> tuple[int, int]:
        """Return width and height, pixels."""
        return self.visible.shape[1], self.visible.shape[0]


def paired(name: str, visible: Pixels, infrared: Pixels) -> Moment:
    """Make a pair of (H, W, 3) and (h, w): the infrared image gets the visible one's size."""
    height, width = visible.shape[:2]
    rows, columns = infrared.shape
    if (rows, columns) == (height, width):
        return Moment(name=name, visible=visible, infrared=infrared)
    note = f"infrared resized from {columns} x {rows} to {width} x {height} pixels, as the visible"
    if columns * height != rows * width:
        note += "; its aspect was another one, so it is stretched"
    resized = Image.fromarray(infrared).resize((width, height), Image.Resampling.BILINEAR)
    return Moment(name=name, visible=visible, infrared=np.asarray(resized), notes=(note,))


def without(missing: Modality, name: str, present: Pixels) -> Moment:
    """Make a pair of one image, (H, W, 3) or (H, W), and of what stands for the other."""
    note = f"{missing} is missing: {FILL:g} (black) stands for each of its pixels"
    blank: Pixels = np.full(present.shape[:2], FILL, np.float32)
    if missing == "infrared":
        return Moment(name=name, visible=present, infrared=blank, notes=(note,))
    return Moment(
        name=name, visible=np.repeat(blank[..., None], 3, axis=2), infrared=present, notes=(note,)
    )


def other(modality: Modality) -> Modality:
    """Return the modality that is there when this one is missing."""
    there: dict[Literal["visible", "infrared"], Modality] = {
        "visible": "infrared",
        "infrared": "visible",
    }
    return there[modality]
