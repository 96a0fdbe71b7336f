"""Cheap statistics of what a loss function was given, left on the device."""

import math

import torch
from torch import Tensor

ROWS = 256  # of logits that are looked at in a call
ELEMENTS = 1 << 18  # and never more elements than this
TARGETS = 1 << 14  # targets among which the most frequent class is counted
MASKED = -1e4  # logits below are taken for masked-out candidates
FIELDS = (
    "lowest", "highest", "fewest", "most", "sum_error", "log_total", "ignored", "majority",
    "diagonal",
)  # fmt: skip


def _strided(tensor: Tensor, rows: int) -> Tensor:
    """Take at most about `rows` evenly spaced rows of (..., C) without a copy of the rest."""
    for dim in range(tensor.dim() - 1):
        count = math.prod(tensor.shape[:-1])
        if count > rows:
            step = min(math.ceil(count / rows), tensor.shape[dim])
            tensor = tensor[(slice(None),) * dim + (slice(None, None, step),)]
    return tensor.reshape(-1, tensor.shape[-1])


def of_classes(logits: Tensor, target: Tensor, ignore_index: int) -> Tensor:
    """Describe logits (N, C, ...) or (C,), and their targets, in the order of `FIELDS`."""
    rows = (logits if logits.dim() == 1 else logits.movedim(1, -1)).detach()
    sample = _strided(
        rows.unsqueeze(0) if rows.dim() == 1 else rows,
        max(1, min(ROWS, ELEMENTS // max(1, rows.shape[-1]))),
    )
    sample = sample.float()  # (R, C)
    competing = sample > MASKED
    counts = competing.sum(-1)
    infinite = sample.new_tensor(math.inf) if sample.device.type == "cpu" else math.inf
    lowest = torch.where(competing, sample, infinite).amin()
    unmasked = torch.where(competing, sample, -math.inf)
    error = torch.maximum((sample.sum(-1) - 1).abs().amax(), -sample.amin())
    numbers = [
        lowest, unmasked.amax(), counts.amin(), counts.amax(), error,
        torch.logsumexp(unmasked, -1).amax(),
    ]  # fmt: skip
    return torch.stack(
        [n.float() for n in (*numbers, *_of_targets(target, rows.shape, ignore_index))]
    )


def _of_targets(target: Tensor, shape: torch.Size, ignore_index: int) -> list[Tensor]:
    """Share ignored, share of the most frequent class, and whether they count the rows."""
    if target.is_floating_point():  # probabilities of the classes
        nothing = target.new_zeros(())
        return [nothing, nothing - 1, nothing]
    flat = target.detach().reshape(-1)
    few = flat[:: max(1, flat.numel() // TARGETS)]
    places = torch.arange(few.numel(), device=few.device, dtype=few.dtype)
    kept = few != ignore_index
    own = torch.where(kept, few, -1 - places)  # every ignored target is a class of its own
    majority = ((few == own.mode().values) & kept).sum() / kept.sum()
    diagonal = torch.zeros((), device=few.device)
    if target.dim() == 1 and 1 < flat.numel() == few.numel() and shape[-1] % flat.numel() == 0:
        offset = few - places
        diagonal = (offset == offset[0]).all() & (offset[0] % flat.numel() == 0)
    return [(flat == ignore_index).float().mean(), majority, diagonal]


def of_elements(values: Tensor) -> Tensor:
    """Describe an input whose elements are predictions of their own."""
    sample = _strided(values.detach().reshape(*values.shape, 1), ELEMENTS).float()
    lowest, highest = torch.aminmax(sample)
    unknown = lowest.new_full((), math.nan)
    return torch.stack([lowest, highest, *[unknown] * (len(FIELDS) - 2)])
