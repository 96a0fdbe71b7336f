"""Walks the graph that a backward will follow."""

from collections.abc import Iterator

import torch


def leaves_below(root: torch.Tensor) -> Iterator[torch.Tensor]:
    """Yield every leaf tensor into which a backward from `root` accumulates a gradient.

    The graph shows nothing of what a custom `Function` or a re-entrant checkpoint computes inside.
    """
    if root.grad_fn is None:
        if root.requires_grad:
            yield root
        return
    seen = {root.grad_fn}
    waiting = [root.grad_fn]
    while waiting:
        node = waiting.pop()
        below = node.next_functions
        if not below and (leaf := getattr(node, "variable", None)) is not None:
            yield leaf  # only AccumulateGrad has both
        for child, _ in below:
            if child is not None and child not in seen:
                seen.add(child)
                waiting.append(child)
