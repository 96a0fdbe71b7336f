"""Reads how large gradients are, many at once, waiting for the device a single time."""

import math
from collections import defaultdict
from collections.abc import Sequence

import torch


class Size(tuple[float, float]):
    """The Euclidean norm of one gradient, and its largest absolute element."""

    __slots__ = ()

    @property
    def norm(self) -> float:
        """Euclidean norm."""
        return self[0]

    @property
    def largest(self) -> float:
        """Largest absolute element."""
        return self[1]


def sizes(gradients: Sequence[torch.Tensor | None]) -> list[Size | None]:
    """Measure each gradient; None where there is none, or where it has no data to read.

    Of a distributed tensor only the part on this process is read.
    """
    found: list[Size | None] = [None] * len(gradients)
    alike: dict[tuple[torch.device, torch.dtype], list[tuple[int, torch.Tensor]]] = defaultdict(
        list
    )
    for index, gradient in enumerate(gradients):
        dense = None if gradient is None else _dense(gradient)
        if dense is None:
            continue
        if dense.numel():
            alike[dense.device, dense.dtype].append((index, dense))
        else:
            found[index] = Size((0.0, 0.0))
    for members in alike.values():
        tensors = [tensor for _, tensor in members]
        wide = _wide(tensors[0])
        norms = torch._foreach_norm(tensors, 2, dtype=wide)
        largest = _largest(tensors, wide)
        values = torch.stack([*norms, *largest]).tolist()
        for (index, _), norm, most in zip(
            members, values[: len(members)], values[len(members) :], strict=True
        ):
            found[index] = Size((norm, most))
    return found


def largest_on_device(gradient: torch.Tensor | None) -> torch.Tensor | None:
    """Return its largest absolute element as a tensor, so that nobody waits for it yet."""
    dense = None if gradient is None else _dense(gradient)
    if dense is None or not dense.numel():
        return None
    return _largest([dense], _wide(dense))[0]


def are_finite(gradients: Sequence[torch.Tensor | None]) -> bool:
    """Tell whether all are finite, reading each of them once where they are."""
    dense = [
        d for gradient in gradients if gradient is not None and (d := _dense(gradient)) is not None
    ]
    groups: dict[tuple[torch.device, torch.dtype], list[torch.Tensor]] = defaultdict(list)
    for tensor in dense:
        if tensor.numel():
            groups[tensor.device, tensor.dtype].append(tensor)
    norms = (
        torch.stack(torch._foreach_norm(alike, 2, dtype=_wide(alike[0]))).sum()
        for alike in groups.values()
    )
    if all(math.isfinite(float(total)) for total in norms):
        return True
    return all(size is None or math.isfinite(size.largest) for size in sizes(gradients))


def _largest(tensors: list[torch.Tensor], wide: torch.dtype) -> Sequence[torch.Tensor]:
    if tensors[0].device.type != "cpu":
        found: Sequence[torch.Tensor] = torch._foreach_norm(tensors, math.inf, dtype=wide)
        return found
    extremes = (torch.aminmax(tensor) for tensor in tensors)  # on a CPU six times as fast
    return [torch.maximum(low.abs(), high.abs()).to(wide) for low, high in extremes]


def _dense(gradient: torch.Tensor) -> torch.Tensor | None:
    """Return plain strided elements that hold all of a gradient's values."""
    tensor = gradient.detach()
    if hasattr(tensor, "to_local"):  # a DTensor, whose module need not be loaded
        tensor = tensor.to_local()
    if tensor.is_sparse:
        tensor = tensor.coalesce().values()
    if tensor.layout != torch.strided or tensor.is_meta or tensor.is_quantized:
        return None
    if tensor.is_complex():
        return torch.view_as_real(tensor)
    return tensor if tensor.is_floating_point() else None


def _wide(tensor: torch.Tensor) -> torch.dtype:
    return torch.float64 if tensor.dtype == torch.float64 else torch.float32
