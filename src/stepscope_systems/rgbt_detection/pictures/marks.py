"""Boxes drawn on a visible/infrared pair, side by side."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont

Pixels = NDArray[np.uint8]

_GAP = 6  # pixels between the two images
_DASH = 5
_TITLE = "#1d2125"
_BRIGHT = 140  # of 255: dark letters are read better above it
_UNDER = (0, 0, 0, 150)  # lies under each line, so that it shows on any background


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One box to be drawn."""

    box: tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels of the original image
    colour: str
    label: str = ""
    is_dashed: bool = False


def side_by_side(
    visible: Pixels,
    infrared: Pixels,
    marks_visible: Sequence[Mark],
    marks_infrared: Sequence[Mark],
    *,
    panel_width: int = 560,
) -> Image.Image:
    """Draw a pair, visible on the left, each image `panel_width` pixels wide.

    `visible` is (H, W, 3) and `infrared` (H, W) or (H, W, 3), both uint8. A small image grows by
    repeating its pixels, so that what the detector saw stays to be seen.

    Raises:
        ValueError: the images differ in size.
    """
    if visible.shape[:2] != infrared.shape[:2]:
        raise ValueError(
            f"the infrared image is {infrared.shape[1]} x {infrared.shape[0]} pixels; expected "
            f"{visible.shape[1]} x {visible.shape[0]}, as the visible one: resize it first"
        )
    left = _panel(visible, marks_visible, panel_width, "visible")
    right = _panel(infrared, marks_infrared, panel_width, "infrared")
    pair = Image.new("RGB", (left.width + _GAP + right.width, left.height), "#808890")
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width + _GAP, 0))
    return pair


def _panel(pixels: Pixels, marks: Sequence[Mark], width: int, title: str) -> Image.Image:
    image = Image.fromarray(pixels).convert("RGB")
    factor = width / image.width
    size = (width, round(image.height * factor))
    method = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    image = image.resize(size, method)
    draw = ImageDraw.Draw(image, "RGBA")
    for mark in marks:
        x1, y1, x2, y2 = (side * factor for side in mark.box)
        _rectangle(draw, (x1, y1, x2, y2), mark)
    _tag(draw, image.size, (0, 0), Mark(box=(0, 0, 0, 0), colour=_TITLE, label=title))
    for mark in marks:  # above every line, and above the title
        if mark.label:
            _tag(draw, image.size, (mark.box[0] * factor, mark.box[1] * factor), mark)
    return image


def _rectangle(
    draw: ImageDraw.ImageDraw, box: tuple[float, float, float, float], mark: Mark
) -> None:
    x1, y1, x2, y2 = box
    corners = [(x1, y1), (x2, y1), (x2, y2), (x1, y2), (x1, y1)]
    if not mark.is_dashed:
        draw.line(corners, fill=_UNDER, width=4)
        draw.line(corners, fill=mark.colour, width=2)
        return
    for start, end in itertools.pairwise(corners):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        if length == 0:
            continue
        ends = np.append(np.arange(0, length, _DASH), length) / length
        points = [
            (start[0] + share * (end[0] - start[0]), start[1] + share * (end[1] - start[1]))
            for share in ends
        ]
        for each, (near, far) in enumerate(itertools.pairwise(points)):
            draw.line([near, far], fill=_UNDER if each % 2 else mark.colour, width=2)


def _tag(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], corner: tuple[float, float], mark: Mark
) -> None:
    """Write a label on its colour: above the corner where there is room, within the image."""
    font = ImageFont.load_default(size=min(max(size[0] // 32, 11), 20))
    _, top, length, bottom = font.getbbox(mark.label)
    width, height = length + 6, bottom - min(top, 0) + 3
    x = min(max(corner[0] - 1, 0), size[0] - width)
    y = corner[1] - height if corner[1] >= height else corner[1]
    y = min(max(y, 0), size[1] - height)
    draw.rectangle((x, y, x + width, y + height), fill=mark.colour)
    red, green, blue = ImageColor.getrgb(mark.colour)[:3]
    is_bright = 0.299 * red + 0.587 * green + 0.114 * blue > _BRIGHT  # luma of BT.601
    draw.text((x + 3, y), mark.label, fill="#111416" if is_bright else "#ffffff", font=font)
