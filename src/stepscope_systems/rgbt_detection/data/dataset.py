"""Pairs as samples: images decoded, boxes of each modality beside those that are judged by."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision import tv_tensors

from stepscope_systems.rgbt_detection.data.faults import DataFault
from stepscope_systems.rgbt_detection.data.pairs import EvalBoxes, Modality, Pair, PairList

Draw = tuple[int, int]  # epoch, index
_USUAL, _DEEP = 255.0, 65535.0  # largest values of 8 and 16 bits


@dataclass
class PairedDataset(Dataset[dict[str, Any]]):
    """The samples of a list of pairs.

    A sample has `visible`, `infrared` float32 (3, H, W) in [0, 1], the infrared channel three
    times; `boxes` (N, 4) xyxy in pixels by `eval_boxes`, `boxes_visible`, `boxes_infrared`;
    `labels` int64 (N,), 1 for a person; `ignore` bool, `occlusion`, `identities` int64 (N,);
    `name`, `condition`, `index`; `scene`, `frame` int64 scalars; `original_size` (height, width).

    Asked for `(epoch, index)`, it draws the augmentation of that epoch: the same one whatever
    worker loads it, and whether or not the run was interrupted before.
    """

    pairs: PairList
    eval_boxes: EvalBoxes = "visible"
    augmentation: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    missing: Modality | None = None
    seed: int = 0
    scenes: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        """Number the scenes, the same way in every list."""
        names = {pair.scene for pair in self.pairs.pairs}
        self.scenes = {name: _number(f"{self.pairs.dataset} {name}") for name in names}

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs.pairs)

    def __getitem__(self, draw: Draw | int) -> dict[str, Any]:
        """Return a sample.

        Raises:
            DataFault: an image cannot be decoded, or has another size than it had.
        """
        epoch, index = draw if isinstance(draw, tuple) else (0, draw)
        sample = self._sample(index)
        if self.augmentation is None:
            return sample
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(_number(f"{self.seed} {epoch} {index}"))
            return self.augmentation(sample)

    def _sample(self, index: int) -> dict[str, Any]:
        pair = self.pairs.pairs[index]
        size = (pair.height, pair.width)
        images = {
            "visible": _decoded(pair, "visible", "RGB").expand(3, -1, -1),  # 16 bits have 1 channel
            "infrared": _decoded(pair, "infrared", "L").expand(3, -1, -1),
        }
        if self.missing is not None:
            images[self.missing] = torch.zeros_like(images[self.missing])
        people = pair.people
        return {
            **{key: tv_tensors.Image(image) for key, image in images.items()},
            "boxes": _boxes([person.box(self.eval_boxes) for person in people], size),
            "boxes_visible": _boxes([person.box("visible") for person in people], size),
            "boxes_infrared": _boxes([person.box("infrared") for person in people], size),
            "labels": torch.ones(len(people), dtype=torch.int64),
            "ignore": torch.tensor([person.ignore for person in people], dtype=torch.bool),
            "occlusion": torch.tensor([person.occlusion for person in people], dtype=torch.int64),
            "identities": torch.tensor([person.identity for person in people], dtype=torch.int64),
            "index": index,
            "name": pair.name,
            "condition": pair.condition,
            "scene": torch.tensor(self.scenes[pair.scene]),
            "frame": torch.tensor(pair.frame),
            "original_size": size,
        }


class EpochSampler(Sampler[Draw]):
    """Indices with their epoch, shuffled by it; each rank takes its share, all equally many."""

    def __init__(self, size: int, *, seed: int, rank: int = 0, world: int = 1) -> None:
        """Begin with epoch 0; Lightning calls `set_epoch`."""
        self.size, self.seed, self.rank, self.world = size, seed, rank, world
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Take the order of an epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        """Return how many this rank sees."""
        return self.size // self.world

    def __iter__(self) -> Iterator[Draw]:
        """Yield (epoch, index)."""
        generator = torch.Generator().manual_seed(_number(f"order {self.seed} {self.epoch}"))
        order = torch.randperm(self.size, generator=generator).tolist()
        for index in order[self.rank : len(self) * self.world : self.world]:
            yield self.epoch, index


def collate(samples: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave a batch as a list: images may differ in size, and people in number."""
    return samples


def _decoded(pair: Pair, modality: Modality, mode: str) -> Tensor:
    """Return (C, H, W) in [0, 1]; 16-bit images by their own range."""
    path = pair.visible if modality == "visible" else pair.infrared
    try:
        with Image.open(path) as image:
            is_deep = image.mode.startswith("I")  # 16 bits; convert() would cut them off
            pixels = np.array(image if is_deep else image.convert(mode), np.float32)
            pixels /= _DEEP if is_deep else _USUAL
    except (OSError, SyntaxError) as error:
        raise DataFault(
            path,
            found=f"cannot be decoded ({error})",
            expected=f"the {modality} image of {pair.name}",
            advice="restore the file, or list everything with `validate`",
        ) from None
    if pixels.shape[:2] != (pair.height, pair.width):
        raise DataFault(
            path,
            found=f"{pixels.shape[1]}x{pixels.shape[0]} pixels",
            expected=f"{pair.width}x{pair.height}, as when the list was read",
            advice="read the list again",
        )
    channels_last = pixels.reshape(pair.height, pair.width, -1)
    return torch.from_numpy(channels_last).permute(2, 0, 1).contiguous()


def _boxes(boxes: list[Any], size: tuple[int, int]) -> tv_tensors.BoundingBoxes:
    table = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    return tv_tensors.BoundingBoxes(table, format="XYXY", canvas_size=size)


def _number(text: str) -> int:
    """Return a whole number of 62 bits that depends on the text alone."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) >> 2
