"""Compares the edges of two image inputs, as they are and mirrored."""

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from stepscope.core import Evidence
from stepscope.evidence.image_pairs import ImagePair, ImagePairs
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.values import inputs

_GRID = 32  # cells a side of the edge maps; a few pixels of parallax stay within a cell
_SMALLEST = 16  # pixels a side: below it there are no edges to compare
_MOST_NAMES = 4
_MOST_SAMPLES = 64  # in one step
_CHANNELS = (1, 3)
_QUARTERS = (0, _GRID // 4, _GRID // 2, 3 * _GRID // 4)
_SHIFTS = [(down, across) for down in _QUARTERS for across in _QUARTERS if down or across]
_OTHERS = 3  # samples beside which each is put


class ImagePairsProbe(Probe):
    """Looks once in each step; the edge maps stay on their device until the end."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._looked_at = -1  # step
        self._edges: dict[tuple[str, str], list[tuple[Tensor, Tensor]]] = {}

    def module_returned(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:  # noqa: ARG002
        """Keep the edges of the first outermost forward of a step with two images of one size."""
        if len(self.run.modules) > 1 or self._looked_at == self.run.step:
            return
        if self.run.in_backward or not self.run.grad_enabled:
            return
        images: dict[str, list[Tensor]] = {}
        for value in inputs():
            tensor = value.tensor() if value.tensor is not None else None
            if tensor is not None and not tensor.is_meta and tensor.layout == torch.strided:
                images.setdefault(value.leaf, []).extend(_samples(tensor))
        shown = [(name, each[:_MOST_SAMPLES]) for name, each in images.items() if each]
        for (first, a), (second, b) in combinations(shown[:_MOST_NAMES], 2):
            if [each.shape[1:] for each in a] == [each.shape[1:] for each in b]:
                self._looked_at = self.run.step
                self._edges.setdefault((first, second), []).append((_edges(a), _edges(b)))

    def evidence(self) -> Iterator[Evidence]:
        """Compare what was kept."""
        pairs = []
        for (first, second), edges in self._edges.items():
            a, b = (torch.cat([maps.cpu() for maps in side]) for side in zip(*edges, strict=True))
            pairs.append(_compared(first, second, _unlike(a), _unlike(b)))
        if pairs:
            yield ImagePairs(pairs=tuple(pairs))


def _samples(tensor: Tensor) -> list[Tensor]:
    """Return the images (C, H, W) in an input that holds one, or a batch of them."""
    batch = tensor.detach().unsqueeze(0) if tensor.dim() == 3 else tensor.detach()  # noqa: PLR2004
    is_image = batch.dim() == 4 and batch.shape[1] in _CHANNELS  # noqa: PLR2004
    if not is_image or min(batch.shape[2:]) < _SMALLEST or not batch.dtype.is_floating_point:
        return []
    return list(batch[:_MOST_SAMPLES])


def _edges(images: list[Tensor]) -> Tensor:
    """Return the mean size of the gradient of brightness in each cell, (N, 32, 32)."""
    maps = []
    for image in images:
        gray = functional.pad(image.float().mean(0)[None, None], (1, 1, 1, 1), mode="replicate")
        across = (gray[..., 1:-1, 2:] - gray[..., 1:-1, :-2]).abs()
        down = (gray[..., 2:, 1:-1] - gray[..., :-2, 1:-1]).abs()
        maps.append(functional.adaptive_avg_pool2d(across + down, _GRID)[0, 0])
    return torch.stack(maps)


def _unlike(maps: Tensor) -> Tensor:
    """Leave of each map (N, 32, 32) what sets it apart, with norm 1.

    Rows, columns and the mean of all samples are taken away: sky above and road below, and what a
    camera that does not move always sees, agree with themselves in other samples too.
    """
    for dims in ((1,), (2,), (0,)):
        maps = maps - maps.mean(dims, keepdim=True)
    return functional.normalize(maps.flatten(1), dim=1, eps=1e-6).view_as(maps)


def _compared(first: str, second: str, a: Tensor, b: Tensor) -> ImagePair:
    sideways, upwards = b.flip(2), b.flip(1)
    chance = [_agreement(a, each.roll(s, (1, 2))) for each in (b, sideways) for s in _SHIFTS]
    others = range(1, min(_OTHERS, len(b) - 1) + 1)
    chance += [_agreement(a, each.roll(n, 0)) for each in (b, sideways) for n in others]
    return ImagePair(
        first=first,
        second=second,
        samples=len(a),
        straight=_agreement(a, b),
        mirrored=_agreement(a, sideways),
        upside_down=_agreement(a, upwards),
        by_chance=max(map(abs, chance)),
        own_mirror=max(_agreement(each, each.flip(2)) for each in (a, b)),
        own_turned=max(_agreement(each, each.flip(1)) for each in (a, b)),
    )


def _agreement(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum((1, 2)).mean())
