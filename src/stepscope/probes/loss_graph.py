"""Reading the autograd graph above a loss: which node is which, and the numbers it holds."""

import math
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Any

import torch

Key = tuple[int, str]

VIEWS = frozenset(
    {
        "AliasBackward0",
        "CloneBackward0",
        "ExpandBackward0",
        "PermuteBackward0",
        "ReshapeAliasBackward0",
        "SqueezeBackward0",
        "SqueezeBackward1",
        "TBackward0",
        "ToCopyBackward0",
        "TransposeBackward0",
        "UnsafeViewBackward0",
        "UnsqueezeBackward0",
        "ViewBackward0",
    }
)


def key_of(node: Any) -> Key:
    """Return what tells this node from all others, without holding it."""
    return node._sequence_nr(), node.name()


def below(roots: Iterable[Any]) -> Iterator[Any]:
    """Yield each node that a backward from these nodes runs, once, those near the roots first."""
    pending = deque(roots)
    seen = set(pending)
    while pending:
        node = pending.popleft()
        yield node
        for parent, _ in node.next_functions:
            if parent is not None and parent not in seen:
                seen.add(parent)
                pending.append(parent)


def skip_views(node: Any) -> Any:
    """Go up past nodes that only change a value's shape or dtype."""
    while node is not None and node.name() in VIEWS:
        node = node.next_functions[0][0]
    return node


def saved(node: Any, name: str) -> torch.Tensor | None:
    """Return a tensor the node has saved; None where it has none, or has freed it."""
    try:
        value = getattr(node, f"_saved_{name}", None)
    except RuntimeError:  # freed by a backward, or written over in place
        return None
    return value if isinstance(value, torch.Tensor) else None


def number(value: torch.Tensor | None) -> float | None:
    """Return the number in a single-element tensor. On a device this waits for it."""
    if value is None or value.numel() != 1 or value.is_meta or value.is_complex():
        return None
    found = float(value.detach())
    return found if math.isfinite(found) else None


def is_scalar(node: Any, output: int = 0) -> bool:
    """Tell whether the forward value of this node has a single element."""
    metadata = getattr(node, "_input_metadata", ())
    return output < len(metadata) and math.prod(metadata[output].shape) == 1


def is_plain(tensor: Any) -> bool:
    """Tell whether a value can be read as an ordinary floating-point tensor."""
    return (
        isinstance(tensor, torch.Tensor)
        and tensor.is_floating_point()
        and not tensor.is_meta
        and not tensor.is_sparse
        and type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
    )
