"""What can be wrong with a box, and what mends it."""

import math

from stepscope_systems.rgbt_detection.data.pairs import Box

# A box that is not finite or inverted has no mend: nobody knows which of its edges is right.
REPAIRS = {
    "is empty": "empty, left out",
    "lies outside the image": "outside, left out",
    "reaches out of the image": "cut at the border",
}


def flaw(box: Box, size: tuple[int, int]) -> str:
    """Return what is wrong with a box in an image of this width and height; nothing: "".

    >>> flaw((10, 20, 30, 60), (640, 512))
    ''
    >>> flaw((620, 20, 641, 60), (640, 512))
    'reaches out of the image'
    """
    x1, y1, x2, y2 = box
    if not all(math.isfinite(edge) for edge in box):
        return "is not finite"
    if x1 > x2 or y1 > y2:
        return "is inverted"
    if x1 == x2 or y1 == y2:
        return "is empty"
    inside = mended(box, size)
    if inside is None:
        return "lies outside the image"
    return "" if inside == box else "reaches out of the image"


def mended(box: Box, size: tuple[int, int]) -> Box | None:
    """Return the part of a box that lies in the image; None when that part has no area."""
    width, height = size
    x1, y1 = max(box[0], 0.0), max(box[1], 0.0)
    x2, y2 = min(box[2], float(width)), min(box[3], float(height))
    return (x1, y1, x2, y2) if x1 < x2 and y1 < y2 else None
