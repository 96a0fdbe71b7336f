"""Finds the operation that first gave nan or inf, among those that lead to a loss."""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch

# Which parent made a saved input, by its name; -2 and -1 hold for mm and for addmm with its bias.
_PLACES = {"_other": 1, "_weight": 1, "_mat1": -2, "_mat2": -1, "_batch1": -2, "_batch2": -1}
_UNNUMBERED = 2**63  # leaves of the graph bear the largest number there is


class Origin(NamedTuple):
    """The first operation whose result is not finite."""

    number: int  # autograd's count of operations
    kind: str  # "nan", "inf"
    is_given: bool  # the operation found the value in its input, which no operation made


def kind_of(tensor: torch.Tensor) -> str:
    """Return "nan" or "inf" where any element is, else nothing. Waits for the device.

    Minus infinity counts only in a single number: masks are full of it.
    """
    if not (tensor.is_floating_point() and tensor.layout == torch.strided) or tensor.is_meta:
        return ""
    if tensor.numel() == 1:
        number = float(tensor)
        return "nan" if math.isnan(number) else "inf" if math.isinf(number) else ""
    if tensor.isnan().any():
        return "nan"
    return "inf" if (tensor == math.inf).any() else ""


def find_origin(root: torch.Tensor) -> Origin | None:
    """Look through what the operations below `root` saved for their backward, oldest first.

    None where all of it is finite: then only what nobody saved can tell.
    """
    for node in _oldest_first(root):
        for name, tensor in _saved(node):
            kind = kind_of(tensor)
            if not kind:
                continue
            if name.startswith(("_saved_result", "_saved_output")):
                return Origin(node._sequence_nr(), kind, is_given=False)
            makers = [parent for parent, _ in node.next_functions]
            place = _PLACES.get(name.removeprefix("_saved"), 0)
            maker = makers[place] if -len(makers) <= place < len(makers) else None
            if maker is None or maker._sequence_nr() >= _UNNUMBERED:
                return Origin(node._sequence_nr(), kind, is_given=True)
            return Origin(maker._sequence_nr(), kind, is_given=False)
    if root.grad_fn is not None and (kind := kind_of(root)):
        return Origin(root.grad_fn._sequence_nr(), kind, is_given=False)
    return None


def _oldest_first(root: torch.Tensor) -> list[Any]:
    if root.grad_fn is None:
        return []
    seen: set[Any] = {root.grad_fn}
    waiting = [root.grad_fn]
    while waiting:
        for child, _ in waiting.pop().next_functions:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
    numbered = [node for node in seen if node._sequence_nr() < _UNNUMBERED]
    return sorted(numbered, key=lambda node: int(node._sequence_nr()))


def _saved(node: Any) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield the tensors that a node of torch's own keeps, by name."""
    for name in dir(node):
        if name.startswith("_saved_"):
            try:
                kept = getattr(node, name)
            except RuntimeError:  # freed by an earlier backward, or changed in place since
                continue
            for value in kept if isinstance(kept, tuple) else (kept,):
                if isinstance(value, torch.Tensor):
                    yield name, value
