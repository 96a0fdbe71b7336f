"""A detector small enough for a test, and pairs of noise for it."""

import dataclasses
from typing import Any

import torch
from torch import Tensor

from stepscope_systems.rgbt_detection.config import ModelConfig
from stepscope_systems.rgbt_detection.model import Detector, Losses
from stepscope_systems.rgbt_detection.model.dhn import Whereabouts

HEIGHT, WIDTH = 48, 64
SMALL = ModelConfig(
    body="resnet10",
    channels=32,
    representation=64,
    anchor_sizes=(8, 12, 16, 24, 32),
    proposals=30,
    anchors_sampled=32,
    rois_sampled=16,
    detections=10,
    score_threshold=0.0,
    shortest=HEIGHT,
    longest=WIDTH,
    queue=16,
    hardest=4,
)
TWO_PEOPLE = ((4.0, 5.0, 16.0, 40.0), (30.0, 6.0, 44.0, 44.0))


def detector(**options: Any) -> Detector:
    return Detector(dataclasses.replace(SMALL, **options))


def images(count: int = 1, height: int = HEIGHT, width: int = WIDTH) -> list[Tensor]:
    return [torch.rand(3, height, width) for _ in range(count)]


def target(
    *boxes: tuple[float, ...], identities: tuple[int, ...] | None = None, scene: int = 0
) -> dict[str, Tensor]:
    table = torch.tensor(boxes).reshape(-1, 4)
    return {
        "boxes": table,
        "labels": torch.ones(len(table), dtype=torch.int64),
        "boxes_visible": table,
        "boxes_infrared": table,
        "identities": torch.tensor(identities or range(len(table)), dtype=torch.int64),
        "scene": torch.tensor(scene),
        "frame": torch.tensor(0),
    }


def trained_on(
    model: Detector, visible: list[Tensor], infrared: list[Tensor], targets: list[dict[str, Tensor]]
) -> Losses:
    """Take the losses of a step, and their gradients."""
    losses = model.train()(visible, infrared, targets)
    assert isinstance(losses, Losses)
    torch.stack(list(losses.terms.values())).sum().backward()
    return losses


def apart(count: int, first: int = 0) -> Whereabouts:
    """Return people of whom each is someone else, in a scene of their own."""
    numbers = torch.arange(first, first + count)
    return Whereabouts(identity=numbers, scene=numbers, frame=torch.zeros_like(numbers))
