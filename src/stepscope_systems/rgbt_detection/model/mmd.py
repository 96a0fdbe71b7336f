"""The optional domain term: how far apart two sets of embeddings lie."""

import torch
from torch import Tensor


def squared_mmd(first: Tensor, second: Tensor, bandwidth: float = 1.0) -> Tensor:
    """Return the unbiased estimate of MMD^2 between rows (N, D) and (M, D), N and M >= 2.

    RBF kernel exp(-|x - y|^2 / (2 bandwidth^2)); rows of unit length are at most 2 apart. The
    estimate may fall below zero. Source: Gretton et al., JMLR 2012, equation 3.
    """
    within = [
        (kernel.sum() - kernel.diagonal().sum()) / (len(kernel) * (len(kernel) - 1))
        for kernel in (_kernel(first, first, bandwidth), _kernel(second, second, bandwidth))
    ]
    return within[0] + within[1] - 2 * _kernel(first, second, bandwidth).mean()


def _kernel(first: Tensor, second: Tensor, bandwidth: float) -> Tensor:
    # not cdist: its gradient is not defined where two rows are equal
    squares = (first**2).sum(1)[:, None] + (second**2).sum(1) - 2 * first @ second.T
    return torch.exp(-squares.clamp(min=0) / (2 * bandwidth**2))
