"""How much of the gradient each term of a loss gives, measured once by small extra backwards."""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from stepscope.probes.loss_graph import below

_MOST_TERMS = 8
_MOST_NODES = 20_000


def shares(terms: list[tuple[Any, int, float]]) -> tuple[list[float], Tensor] | None:
    """Return each term's share of the gradient norm on one parameter that all terms reach.

    Terms are (node, output, weight). The parameter is the nearest to the terms. None where there
    is no such parameter, or where a backward would run code that is not torch's own.
    """
    if not 1 < len(terms) <= _MOST_TERMS:
        return None
    distances: list[dict[int, int]] = []
    leaves: dict[int, Any] = {}
    for node, _, _ in terms:
        found: dict[int, int] = {}
        for distance, each in enumerate(below([node])):
            if distance > _MOST_NODES or _is_foreign(each):
                return None
            if (leaf := getattr(each, "variable", None)) is not None:
                found.setdefault(id(leaf), distance)
                leaves[id(leaf)] = each
        distances.append(found)
    shared = set(distances[0]).intersection(*distances[1:])
    shared = {key for key in shared if not leaves[key].variable._backward_hooks}
    if not shared:
        return None
    nearest = leaves[min(shared, key=lambda key: max(found[key] for found in distances))].variable
    norms = [_norm(node, output, weight, nearest) for node, output, weight in terms]
    total = sum(norms)
    return ([norm / total for norm in norms], nearest) if total > 0 else None


def _norm(node: Any, output: int, weight: float, parameter: Tensor) -> float:
    metadata = node._input_metadata[output]
    seed = torch.full(metadata.shape, weight, dtype=metadata.dtype, device=metadata.device)
    (gradient,) = torch.autograd.grad(
        [GradientEdge(node, output)],
        [parameter],
        grad_outputs=[seed],
        retain_graph=True,
        allow_unused=True,
    )
    return 0.0 if gradient is None else float(torch.linalg.vector_norm(gradient.float()))


def _is_foreign(node: Any) -> bool:
    """Tell a custom `Function` (re-entrant checkpoints are such) from torch's own operations."""
    return isinstance(node, torch.autograd.function.BackwardCFunction)
