"""What the detector sees of the two modalities: a choice without parameters."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

Fusion = Literal["mean", "max", "visible", "infrared"]
Levels = dict[str, Tensor]

_WAYS: Mapping[Fusion, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "mean": lambda visible, infrared: (visible + infrared) / 2,
        "max": torch.maximum,
        "visible": lambda visible, infrared: visible,  # noqa: ARG005 - that is the choice
        "infrared": lambda visible, infrared: infrared,  # noqa: ARG005
    }
)


def fuse(visible: Levels, infrared: Levels, fusion: Fusion) -> Levels:
    """Join each level, (B, C, H, W) of both."""
    return {name: _WAYS[fusion](visible[name], infrared[name]) for name in visible}
