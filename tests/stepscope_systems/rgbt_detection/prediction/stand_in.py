"""A detector that finds the bright rectangle of an infrared image, and files to show it."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

Bits = NDArray[np.uint8]


class BrightRectangle(nn.Module):
    """Returns what surrounds the bright pixels of the infrared image, if there are any."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, visible: list[Tensor], infrared: list[Tensor]) -> list[dict[str, Tensor]]:
        assert not self.training
        self.seen += zip(visible, infrared, strict=True)
        return [self._found(image) for image in infrared]

    def _found(self, image: Tensor) -> dict[str, Tensor]:
        rows, columns = (image[0] > 0.5).nonzero(as_tuple=True)
        if not len(rows):
            return {"boxes": torch.empty(0, 4), "scores": torch.empty(0)}
        sides = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        return {
            "boxes": torch.stack(sides)[None].float(),
            "scores": image[0].max()[None],
        }


def infrared(box: tuple[int, int, int, int], size: tuple[int, int] = (80, 64)) -> Bits:
    """Draw a bright box x1, y1, x2, y2 in a dark image of (width, height)."""
    image = np.full((size[1], size[0]), 30, np.uint8)
    image[box[1] : box[3], box[0] : box[2]] = 230
    return image


def visible(size: tuple[int, int] = (80, 64)) -> Bits:
    """Draw a gradient, dark to the left, in an image of (width, height)."""
    line = np.linspace(0, 100, size[0]).astype(np.uint8)
    return np.repeat(np.tile(line, (size[1], 1))[..., None], 3, axis=2)


def saved(path: Path, pixels: NDArray[np.generic]) -> Path:
    """Write an image, and the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def filmed(path: Path, frames: list[Bits], rate: int = 10) -> Path:
    """Write a lossless video."""
    colour = "rgb24" if frames[0].ndim == 3 else "gray"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=Fraction(rate))
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "bgr0" if colour == "rgb24" else "gray"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format=colour)))
        container.mux(stream.encode(None))
    return path
