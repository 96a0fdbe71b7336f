"""A tree that was read, against what torch itself loads."""

import torch

from stepscope.checkpoint_files.blocks import loaded
from stepscope.checkpoint_files.content import Opaque, TensorAt


def same(found: object, expected: object, where: str = "") -> None:
    """Assert that every tensor has the same bits, and every plain value is equal."""
    if isinstance(expected, torch.Tensor):
        assert isinstance(found, TensorAt), where
        assert found.shape == tuple(expected.shape), where
        assert found.dtype == str(expected.dtype).removeprefix("torch."), where
        if expected.numel():
            assert _octets(loaded(found)) == _octets(expected.detach()), where
    elif isinstance(expected, dict):
        assert isinstance(found, dict), where
        assert list(found) == list(expected), where
        for key, value in expected.items():
            same(found[key], value, f"{where}.{key}")
    elif isinstance(expected, list | tuple):
        assert isinstance(found, list | tuple), where
        assert len(found) == len(expected), where
        for i, (one, other) in enumerate(zip(found, expected, strict=True)):
            same(one, other, f"{where}[{i}]")
    elif not isinstance(found, Opaque):
        assert found == expected, where


def _octets(tensor: object) -> list[int]:

    assert isinstance(tensor, torch.Tensor)
    flat: list[int] = tensor.contiguous().view(-1).view(torch.uint8).tolist()
    return flat
