"""Augments a pair: one geometry for both images and all boxes, colours for each on its own."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from stepscope_systems.rgbt_detection.config import DataConfig

_BOXES = ("boxes", "boxes_visible", "boxes_infrared")
_SMALLEST = 2.0  # pixels of a side that is left of a person after cropping


@dataclass(frozen=True, slots=True)
class PairedAugmentation:
    """Flip, zoom and crop a sample's images and boxes alike; then change colours by modality.

    Both images are handed to one call of `transforms.v2`, which draws its parameters once: a
    mirrored visible image has a mirrored infrared one. People of whom the crop leaves nothing are
    taken out of every field, so that row i means the same person everywhere.
    """

    config: DataConfig

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        """Return a new sample; images (3, H, W) in [0, 1] keep their size."""
        images = {key: sample[key] for key in ("visible", "infrared")}
        boxes = {key: sample[key] for key in _BOXES}
        moved = self._geometry(sample["visible"].shape[-2:])(images | boxes)
        moved["visible"] = self._visible(moved["visible"])
        moved["infrared"] = self._infrared(moved["infrared"])
        kept = torch.stack([_is_there(moved[key]) for key in _BOXES]).all(0)
        people = {
            key: value[kept]
            for key, value in (sample | moved).items()
            if key in (*_BOXES, "labels", "ignore", "occlusion", "identities")
        }
        result: dict[str, Any] = sample | moved | people
        return result

    def _geometry(self, size: tuple[int, int]) -> v2.Transform:
        smallest, largest = self.config.scale
        # Not ScaleJitter: it takes heights for widths, so images that are not square shrink.
        zoom = smallest + (largest - smallest) * float(torch.rand(()))
        return v2.Compose(
            [
                v2.RandomHorizontalFlip(self.config.flip),
                v2.Resize([round(side * zoom) for side in size]),
                v2.RandomCrop(size, pad_if_needed=True),
                v2.ClampBoundingBoxes(),
            ]
        )

    def _visible(self, image: Tensor) -> Tensor:
        jitter = v2.ColorJitter(brightness=self.config.brightness, contrast=self.config.contrast)
        changed: Tensor = jitter(image)
        return changed

    def _infrared(self, image: Tensor) -> Tensor:
        changed: Tensor = v2.ColorJitter(contrast=self.config.infrared_gain)(image)
        return changed


def _is_there(boxes: tv_tensors.BoundingBoxes) -> Tensor:
    sides = boxes[:, 2:] - boxes[:, :2]
    kept: Tensor = (sides >= _SMALLEST).all(1)
    return kept
