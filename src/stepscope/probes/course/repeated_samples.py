"""Samples that a data loader gives more often than once, or fills up its last batch with."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch.utils.data import BatchSampler, RandomSampler, SequentialSampler, WeightedRandomSampler

from stepscope.evidence.course.held_out import HeldOutPass
from stepscope.evidence.course.repeated_samples import SamplesRepeated
from stepscope.probes.course.batch_leaves import leaves

MARKS = re.compile(r"mask|valid|weight|pad|real|index|indices|(^|[._])ids?$")


def repeating(iterator: Any, facts: HeldOutPass) -> SamplesRepeated | None:
    """Return what the sampler of a pass says of samples that it gives more often than once.

    One that divides them among processes is known by what it promises: `total_size` samples to
    `num_replicas` processes. Not only torch's own does.
    """
    if facts.size is None:
        return None
    index_sampler = iterator._index_sampler
    sampler = getattr(index_sampler, "sampler", index_sampler)
    if isinstance(sampler, RandomSampler | WeightedRandomSampler) and sampler.replacement:
        return _found(sampler, facts, replaces=True)
    said = vars(sampler) if hasattr(sampler, "__dict__") else {}
    total, replicas, own = (
        said.get(name) for name in ("total_size", "num_replicas", "num_samples")
    )
    if not (isinstance(total, int) and isinstance(replicas, int) and isinstance(own, int)):
        return None
    if replicas > 1 and total == own * replicas > facts.size:
        return _found(sampler, facts, replicas=replicas, own=own, repeated=total - facts.size)
    return None


def short_batch(iterator: Any, facts: HeldOutPass, batch: object) -> tuple[int, int] | None:
    """Return the number of the last batch of a pass, and its samples, where it is not full."""
    index_sampler = iterator._index_sampler
    if facts.size is None or type(index_sampler) is not BatchSampler or index_sampler.drop_last:
        return None
    if type(index_sampler.sampler) is not SequentialSampler:
        return None
    size = index_sampler.batch_size
    full, left = divmod(facts.size, size)
    return (full + 1, left) if left and full and _rows(leaves(batch)) == size else None


def filled_up(
    iterator: Any, facts: HeldOutPass, left: int, batch: object
) -> SamplesRepeated | None:
    """Tell whether the last batch has as many rows as the others, and does not say which count."""
    tensors = leaves(batch)
    rows = _rows(tensors)
    if rows != iterator._index_sampler.batch_size or _are_marked(tensors, left):
        return None
    return _found(iterator._index_sampler.sampler, facts, rows=rows, left=left)


def _found(sampler: object, facts: HeldOutPass, **said: Any) -> SamplesRepeated:
    assert facts.size is not None, "asked only of data sets that tell"
    return SamplesRepeated(
        data=facts.data,
        kind=facts.kind,
        size=facts.size,
        sampler=type(sampler).__name__,
        evaluated=facts.evaluated,
        at=facts.at,
        **said,
    )


def _rows(tensors: Mapping[str, torch.Tensor]) -> int:
    """Return the rows that all tensors have; 0 where they differ."""
    rows = {len(each) for each in tensors.values() if each.dim()}
    return rows.pop() if len(rows) == 1 else 0


def _are_marked(tensors: Mapping[str, torch.Tensor], left: int) -> bool:
    """Tell whether anything may say which rows are samples; of another device, anything may.

    That is a truth of each, a name, or labels that are negative in rows that are none.
    """
    for path, tensor in tensors.items():
        if MARKS.search(path.lower()) or tensor.dtype == torch.bool:
            return True
        if tensor.dim() != 1 or tensor.is_floating_point():
            continue
        if tensor.device.type != "cpu" or bool((tensor[left:] < 0).all()):
            return True
    return False
