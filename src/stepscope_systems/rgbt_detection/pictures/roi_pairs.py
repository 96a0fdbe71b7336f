"""Crops of the same person in both modalities, with the similarity of their embeddings."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from stepscope_systems.rgbt_detection.metrics.results import Floats
from stepscope_systems.rgbt_detection.pictures.figures import Picture, photograph
from stepscope_systems.rgbt_detection.pictures.marks import Pixels

_TILE = (88, 176)  # pixels of a crop's place: people are tall
_GAP = 3
_AROUND = "#22272c"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoiPair:
    """One person as both sensors see them, and what the embeddings make of it."""

    name: str
    visible: Pixels  # (h, w, 3) crop
    infrared: Pixels  # (h, w) or (h, w, 3) crop
    similarity: float  # cosine of the two embeddings, -1 to 1
    rank: int  # of the true infrared crop among all candidates, for the visible one; 1: nearest
    candidates: int


def roi_pairs(
    names: Sequence[str],
    visible: Sequence[Pixels],
    infrared: Sequence[Pixels],
    z_visible: Floats,
    z_infrared: Floats,
) -> tuple[RoiPair, ...]:
    """Put N crops of each modality together, with similarities and ranks.

    `z_visible` and `z_infrared` are (N, D) of unit length; row i of both is the same person.
    Equal similarities are counted against the true one, so that a constant embedding ranks last.
    """
    similarities = z_visible @ z_infrared.T
    own = similarities.diagonal()
    ranks = (similarities >= own[:, None]).sum(axis=1)
    crops = zip(names, visible, infrared, own, ranks, strict=True)
    return tuple(
        RoiPair(
            name=name,
            visible=seen,
            infrared=warm,
            similarity=float(similarity),
            rank=int(rank),
            candidates=len(names),
        )
        for name, seen, warm, similarity, rank in crops
    )


def crop(image: Pixels, box: Sequence[float]) -> Pixels:
    """Cut a box x1, y1, x2, y2 (pixels) out of an image; at least one pixel, none from outside."""
    height, width = image.shape[:2]
    x1 = int(np.clip(np.floor(box[0]), 0, width - 1))
    y1 = int(np.clip(np.floor(box[1]), 0, height - 1))
    x2 = int(np.clip(np.ceil(box[2]), x1 + 1, width))
    y2 = int(np.clip(np.ceil(box[3]), y1 + 1, height))
    return image[y1:y2, x1:x2]


def roi_picture(pair: RoiPair) -> Picture:
    """Lay the two crops side by side, as large as their place allows, in their own aspect."""
    both = Image.new("RGB", (2 * _TILE[0] + _GAP, _TILE[1]), "#808890")
    both.paste(_tile(pair.visible), (0, 0))
    both.paste(_tile(pair.infrared), (_TILE[0] + _GAP, 0))
    told = f"cos {pair.similarity:+.2f} · rank {pair.rank} of {pair.candidates}"
    return photograph(
        both,
        description=f"{pair.name}: visible crop and infrared crop, {told}",
        caption=f"{pair.name}\n{told}",
    )


def _tile(pixels: Pixels) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels)).convert("RGB")
    factor = min(_TILE[0] / image.width, _TILE[1] / image.height)
    size = (max(1, round(image.width * factor)), max(1, round(image.height * factor)))
    image = image.resize(size, Image.Resampling.BICUBIC)
    place = Image.new("RGB", _TILE, _AROUND)
    place.paste(image, ((_TILE[0] - size[0]) // 2, (_TILE[1] - size[1]) // 2))
    return place
