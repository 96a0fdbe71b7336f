"""The values that the description of a checkpoint needs, read once."""

import math
from collections.abc import Callable, Iterable, Mapping

from stepscope.checkpoint_files.blocks import loaded
from stepscope.checkpoint_files.content import TensorAt, Tree
from stepscope.checkpoint_files.contents.stored import Stored, stored
from stepscope.checkpoint_files.statistics import Statistics, measure

Progress = Callable[[int], None]


class Values:
    """Statistics of all tensors, by the place of their bytes."""

    def __init__(self, tensors: Iterable[Stored], progress: Progress | None = None) -> None:
        pieces = {_place(piece): piece for tensor in tensors for piece in tensor.pieces}
        named: Mapping[str, TensorAt] = {str(at): each for at, each in enumerate(pieces.values())}
        found = measure(named, progress)
        self._found = {place: found[str(at)] for at, place in enumerate(pieces) if str(at) in found}

    def statistics(self, node: "Tree | Stored") -> Statistics | None:
        """Return what the values of a tensor are like; None for what is no tensor."""
        tensor = node if isinstance(node, Stored) else stored(node)
        if tensor is None:
            return None
        parts = [found for piece in tensor.pieces if (found := self._found.get(_place(piece)))]
        if len(parts) != len(tensor.pieces):
            return None
        return parts[0] if len(parts) == 1 else _joined(parts)

    def number(self, node: "Tree | Stored") -> float | None:
        """Return a number, or the only element of a tensor."""
        if isinstance(node, bool):
            return None
        if isinstance(node, int | float):
            return float(node)
        tensor = node if isinstance(node, Stored) else stored(node)
        if tensor is None or math.prod(tensor.shape) != 1 or "complex" in tensor.dtype:
            return None
        found = self.statistics(tensor)
        if found is not None and found.smallest is not None:
            return float(found.smallest)  # saves to open the file for each step counter
        return float(loaded(tensor.pieces[0]).reshape(()).item())


def _place(piece: TensorAt) -> tuple[object, ...]:
    return piece.file, piece.start, piece.dtype, piece.shape, piece.stride


def _joined(parts: list[Statistics]) -> Statistics:
    """Return the statistics of a tensor in pieces. Its fingerprint is of the pieces, in order."""
    elements = sum(part.elements for part in parts)
    told = [part for part in parts if part.mean is not None and part.deviation is not None]
    finite = sum(part.elements - part.non_finite for part in told)
    mean = sum((p.mean or 0) * (p.elements - p.non_finite) for p in told) / finite if finite else 0
    square = sum(
        ((p.deviation or 0) ** 2 + ((p.mean or 0) - mean) ** 2) * (p.elements - p.non_finite)
        for p in told
    )
    smallest = [part.smallest for part in parts if part.smallest is not None]
    largest = [part.largest for part in parts if part.largest is not None]
    return Statistics(
        fingerprint=hash(tuple(part.fingerprint for part in parts)),
        elements=elements,
        non_finite=sum(part.non_finite for part in parts),
        zeros=sum(part.zeros for part in parts),
        smallest=min(smallest, default=None),
        largest=max(largest, default=None),
        mean=mean if finite else None,
        deviation=math.sqrt(square / finite) if finite else None,
        is_constant=elements > 1
        and finite == elements
        and min(smallest, default=0) == max(largest, default=1),
    )
