"""The tensors of a batch, by where they are in it."""

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from stepscope.probes.course.batch_marks import ELEMENTS, joined
from stepscope.probes.fingerprints import readable

MOST = 16  # tensors of one batch
DEEPEST = 4  # containers within containers


def leaves(batch: object) -> dict[str, torch.Tensor]:
    """Return the first ones by their paths: "image", "1", "meta.size"; a bare one is "batch"."""
    found = zip(range(MOST), _leaves(batch), strict=False)
    return {path or "batch": tensor for _, (path, tensor) in found}


def marks(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return a number for each that can be read, left on its device: of some of its elements.

    Where two numbers differ, bits do.
    """
    result: dict[str, torch.Tensor] = {}
    for path, tensor in tensors.items():
        plain = readable(tensor)
        if plain is not None and plain.numel():
            result[path] = joined([_some(plain)])
    return result


def _some(tensor: torch.Tensor) -> torch.Tensor:
    """Return a copy of elements on a grid, the same ones however they lie in memory."""
    while tensor.numel() > ELEMENTS:
        sizes = list(tensor.shape)
        widest = sizes.index(max(sizes))
        tensor = tensor[(*(slice(None),) * widest, slice(None, None, 2))]
    return tensor.reshape(-1).clone()


def _leaves(value: object, path: str = "", depth: int = 0) -> Iterator[tuple[str, torch.Tensor]]:
    if isinstance(value, torch.Tensor):
        yield path, value
    elif depth < DEEPEST:
        for key, each in _members(value):
            yield from _leaves(each, f"{path}.{key}" if path else str(key), depth + 1)


def _members(value: object) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value[:MOST])
