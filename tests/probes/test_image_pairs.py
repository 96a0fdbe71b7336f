"""Edges of two image inputs are compared as they came to the model."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from stepscope.evidence.image_pairs import ImagePair, ImagePairs
from stepscope.probes.image_pairs import ImagePairsProbe
from stepscope.probes.observation import Observation
from stepscope.probes.value_tracing.tracing import ValueTracing

Images = Tensor | list[Tensor]


class Fusion(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(2, 1)

    def forward(self, visible: Images, infrared: Images) -> Tensor:
        means = [torch.stack([image.mean() for image in each]) for each in (visible, infrared)]
        out: Tensor = self.head(torch.stack(means, dim=1))
        return out


def observed(visible: Images, infrared: Images, *, steps: int = 1) -> list[ImagePair]:
    model = Fusion()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    observation = Observation([ValueTracing, ImagePairsProbe], steps=10)
    with observation:
        for _step in range(steps):
            model(visible, infrared).sum().backward()
            optimizer.step()
    assert not observation.run.faults
    return [p for each in observation.evidence if isinstance(each, ImagePairs) for p in each.pairs]


def scenes(number: int, size: tuple[int, int] = (32, 32), channels: int = 3) -> Tensor:
    images = torch.rand(number, channels, *size, generator=torch.Generator().manual_seed(0)) * 0.1
    for index, image in enumerate(images):
        image[:, 3 + index : 12 + 2 * index, 2 + index : 9 + index] += 1.0
    return images


def agreement(a: Tensor, b: Tensor) -> float:
    """Correlate the edges of images (N, C, 32, 32), with loops over the pixels."""
    maps = []
    for images in (a, b):
        gray = np.pad(images.mean(1).numpy(), ((0, 0), (1, 1), (1, 1)), mode="edge")
        edges = np.zeros((len(images), 32, 32))
        for y in range(32):
            for x in range(32):
                across = np.abs(gray[:, y + 1, x + 2] - gray[:, y + 1, x])
                edges[:, y, x] = across + np.abs(gray[:, y + 2, x + 1] - gray[:, y, x + 1])
        for axis in (1, 2, 0):
            edges -= edges.mean(axis, keepdims=True)
        maps.append(edges / np.linalg.norm(edges, axis=(1, 2), keepdims=True))
    return float((maps[0] * maps[1]).sum((1, 2)).mean())


@pytest.mark.parametrize(
    "turned", [lambda x: x, lambda x: x.flip(-1), lambda x: x.flip(-2)], ids=["same", "lr", "ud"]
)
def test_agreement_is_the_correlation_of_edges(turned: Callable[[Tensor], Tensor]) -> None:
    images = scenes(5)
    others = turned(scenes(5, channels=1))
    (pair,) = observed(images, others)
    assert (pair.first, pair.second, pair.samples) == ("visible", "infrared", 5)
    assert pair.straight == pytest.approx(agreement(images, others), abs=1e-5)
    assert pair.mirrored == pytest.approx(agreement(images, others.flip(-1)), abs=1e-5)
    assert pair.upside_down == pytest.approx(agreement(images, others.flip(-2)), abs=1e-5)
    own = max(agreement(each, each.flip(-1)) for each in (images, others))
    assert pair.own_mirror == pytest.approx(own, abs=1e-5)


def test_chance_is_the_best_of_displaced_copies_and_of_other_samples() -> None:
    images, others = scenes(4), scenes(4, channels=1)
    (pair,) = observed(images, others)
    found = [
        agreement(images, torch.roll(each, (down, across), (-2, -1)))
        for each in (others, others.flip(-1))
        for down in (0, 8, 16, 24)
        for across in (0, 8, 16, 24)
        if down or across
    ]
    found += [agreement(images, e.roll(n, 0)) for e in (others, others.flip(-1)) for n in (1, 2, 3)]
    assert pair.by_chance == pytest.approx(max(map(abs, found)), abs=0.02)  # edges wrap around


def test_lists_of_images_of_different_sizes_are_compared_one_by_one() -> None:
    images = [scenes(4)[0], scenes(4, (48, 40))[1], scenes(4, (64, 32))[2]]
    (pair,) = observed(images, [image.clone() for image in images])
    assert pair.samples == 3
    assert pair.straight == pytest.approx(1.0, abs=1e-5)


def test_samples_of_all_steps_count() -> None:
    (pair,) = observed(scenes(4), scenes(4), steps=3)
    assert pair.samples == 12


@pytest.mark.parametrize(
    "other",
    [scenes(4, (32, 40)), scenes(3), scenes(4, channels=4), scenes(4).to(torch.int64)],
    ids=["another size", "another number", "four channels", "whole numbers"],
)
def test_what_is_no_pair_of_images_is_left_alone(other: Tensor) -> None:
    model = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)

    class Both(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = model

        def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
            both = visible.float().mean() + infrared.float().mean()
            out: Tensor = self.head(both.reshape(1))
            return out

    observation = Observation([ValueTracing, ImagePairsProbe], steps=10)
    with observation:
        Both()(scenes(4), other).sum().backward()
        optimizer.step()
    assert not observation.run.faults
    assert not [each for each in observation.evidence if isinstance(each, ImagePairs)]
