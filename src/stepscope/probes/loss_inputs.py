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
    "diagonal", "repeated",
)  # fmt: skip
ALIKE = 1e-5  # of a row's range: two logits closer than this are one number, rounded twice
DISTINCT = 0.75  # of the steps between sorted logits: below it half precision has made ties


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
    most = max(1, min(ROWS, ELEMENTS // max(1, rows.shape[-1])))
    sample = _strided(rows.unsqueeze(0) if rows.dim() == 1 else rows, most).float()  # (R, C)
    competing = sample > MASKED
    counts = competing.sum(-1)
    infinite = sample.new_tensor(math.inf) if sample.device.type == "cpu" else math.inf
    lowest = torch.where(competing, sample, infinite).amin()
    unmasked = torch.where(competing, sample, -math.inf)
    error = torch.maximum((sample.sum(-1) - 1).abs().amax(), -sample.amin())
    numbers = [
        lowest, unmasked.amax(), counts.amin(), counts.amax(), error,
        torch.logsumexp(unmasked, -1).amax(), *_of_targets(target, rows.shape, ignore_index),
        _repeated(sample, competing, target.detach(), most),
    ]  # fmt: skip
    return torch.stack([n.float() for n in numbers])


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


def _repeated(sample: Tensor, competing: Tensor, target: Tensor, most: int) -> Tensor:
    """Share of the rows (R, C) in which another column holds the logit of the target too.

    Rows whose logits are alike throughout count as rows in which none does.
    """
    columns = sample.shape[1]
    if target.is_floating_point() or columns < 3:  # noqa: PLR2004 - no other negative
        return sample.new_zeros(())
    own = _strided(target.reshape(*target.shape, 1), most)  # (R, 1), as the sample was taken
    held = sample.gather(-1, own.long().clamp(0, columns - 1))
    masked = torch.where(competing, sample, torch.nan)
    ordered = masked.sort(dim=-1).values  # nan comes last
    widths = ordered.diff(dim=-1)
    range_ = torch.where(competing, sample, -math.inf).amax(-1) - ordered[:, 0]
    near = ALIKE * range_.unsqueeze(-1)
    distinct = (widths > near).sum(-1) >= DISTINCT * (competing.sum(-1) - 1)
    twins = ((sample - held).abs() <= near) & competing
    return ((twins.sum(-1) > 1) & distinct & (range_ > 0)).float().mean()


def of_elements(values: Tensor) -> Tensor:
    """Describe an input whose elements are predictions of their own."""
    sample = _strided(values.detach().reshape(*values.shape, 1), ELEMENTS).float()
    lowest, highest = torch.aminmax(sample)
    unknown = lowest.new_full((), math.nan)
    return torch.stack([lowest, highest, *[unknown] * (len(FIELDS) - 2)])
