"""Detectors and made-up batches for measuring the time of a step."""

from dataclasses import replace

import torch
from stepscope_systems.rgbt_detection.config import PRESETS
from stepscope_systems.rgbt_detection.loss import total_loss
from stepscope_systems.rgbt_detection.model import Detector, Losses
from torch import Tensor

SIZES = {"nano": (128, 160), "r50": (256, 320)}  # r50 at half of its size: two CPU cores
PEOPLE = 3  # per pair


def model_of(size: str, *, macl: bool, dhn: bool, msp: bool) -> Detector:
    torch.manual_seed(0)
    config = PRESETS[size]().model
    height, width = SIZES[size]
    detector = Detector(
        replace(
            config, macl=macl, dhn=dhn, msp=msp, shortest=height, longest=width, frozen_stages=0
        )
    )
    if detector.alignment is not None and detector.alignment.dhn is not None:
        detector.alignment.dhn.filled = detector.alignment.dhn.size  # as after the first epochs
    return detector


def optimizer_of(model: torch.nn.Module) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-4)


def made_up(
    size: str, pairs: int, seed: int
) -> tuple[list[Tensor], list[Tensor], list[dict[str, Tensor]]]:
    height, width = SIZES[size]
    random = torch.Generator().manual_seed(seed)
    images = torch.rand(2, pairs, 3, height, width, generator=random)
    targets = []
    for pair in range(pairs):
        corner = torch.rand(PEOPLE, 2, generator=random) * torch.tensor([0.7 * width, 0.4 * height])
        boxes = torch.cat([corner, corner + torch.tensor([0.12 * width, 0.4 * height])], dim=1)
        targets.append(
            {
                "boxes": boxes,
                "labels": torch.ones(PEOPLE, dtype=torch.int64),
                "boxes_visible": boxes,
                "boxes_infrared": boxes,
                "identities": torch.arange(PEOPLE) + PEOPLE * (pair + pairs * seed),
                "scene": torch.tensor(seed),
                "frame": torch.tensor(pair),
            }
        )
    return list(images[0]), list(images[1]), targets


def total(losses: Losses) -> Tensor:
    return total_loss(losses.terms, PRESETS["nano"]().loss).total
