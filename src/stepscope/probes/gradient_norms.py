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


class Readings:
    """The gradients that have been read in one moment: who asks next reads nothing again."""

    def __init__(self) -> None:
        self._moment = -1
        self._found: dict[int, Size | None] = {}  # by id of the gradient, alive in this moment

    def sizes(self, gradients: Sequence[torch.Tensor | None], moment: int) -> list[Size | None]:
        """Measure each gradient, as `sizes` does; between two moments the program has run."""
        if moment != self._moment:
            self._moment = moment
            self._found.clear()
        unread = {id(g): g for g in gradients if g is not None and id(g) not in self._found}
        self._found.update(zip(unread, sizes(list(unread.values())), strict=True))
        return [None if g is None else self._found[id(g)] for g in gradients]


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
        values = _ends([tensor for _, tensor in members]).tolist()
        for (index, _), norm, most in zip(
            members, values[: len(members)], values[len(members) :], strict=True
        ):
            found[index] = Size((norm, most))
    return found


def largest_on_device(tensors: Sequence[torch.Tensor | None]) -> dict[int, torch.Tensor]:
    """Return the largest absolute element of each, by its place, so that nobody waits yet."""
    dense = {i: d for i, t in enumerate(tensors) if t is not None and (d := _dense(t)) is not None}
    return {
        i: torch.linalg.vector_norm(tensor, math.inf)
        if tensor.device.type != "cpu"
        else torch.stack(torch.aminmax(tensor)).abs().amax()  # on a CPU six times as fast
        for i, tensor in dense.items()
        if tensor.numel()
    }


def norms_on_device(
    tensors: Sequence[torch.Tensor | None], order: float
) -> dict[int, torch.Tensor]:
    """Return the norm of each, by its place, so that nobody waits yet.

    Left out is what has no data to read here, or only a part of it: a distributed tensor.
    """
    alike: dict[tuple[torch.device, torch.dtype], list[tuple[int, torch.Tensor]]] = defaultdict(
        list
    )
    for index, tensor in enumerate(tensors):
        is_whole = tensor is not None and not hasattr(tensor, "to_local")
        dense = _dense(tensor) if tensor is not None and is_whole else None
        if dense is not None:
            alike[dense.device, dense.dtype].append((index, dense))
    found: dict[int, torch.Tensor] = {}
    for members in alike.values():
        rows = [dense for _, dense in members]
        norms = torch._foreach_norm(rows, order, dtype=_wide(rows[0]))
        found.update(zip((index for index, _ in members), norms, strict=True))
    return found


def read_together(numbers: Sequence[torch.Tensor]) -> list[float]:
    """Read single numbers, waiting for each device and dtype once."""
    read = [0.0] * len(numbers)
    for kind in dict.fromkeys((number.device, number.dtype) for number in numbers):
        places = [i for i, number in enumerate(numbers) if (number.device, number.dtype) == kind]
        joined = torch.stack([numbers[i].detach().reshape(()) for i in places])
        for place, value in zip(places, joined.tolist(), strict=True):
            read[place] = float(value)
    return read


def _ends(alike: list[torch.Tensor]) -> torch.Tensor:
    """Return the norms of tensors of one device and dtype, then their largest elements."""
    wide = _wide(alike[0])
    if alike[0].device.type != "cpu":
        euclidean = torch._foreach_norm(alike, 2, dtype=wide)
        return torch.stack([*euclidean, *torch._foreach_norm(alike, math.inf, dtype=wide)])
    found = [  # one after the other: the second finds the tensor in the cache
        (torch.linalg.vector_norm(tensor, dtype=wide), *torch.aminmax(tensor)) for tensor in alike
    ]
    norms, lowest, highest = (torch.stack(each) for each in zip(*found, strict=True))
    return torch.cat([norms, torch.maximum(lowest.abs(), highest.abs()).to(wide)])


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
