"""Numbers that prove that a tensor's bits changed, without a copy of the tensor."""

import functools
import math
from collections.abc import Iterable, Sequence

import torch

from stepscope.probes.gradient_norms import largest_on_device, read_together

COLUMNS = 251  # prime: rows that move oppositely (two classes) fall into different columns
CHUNK = 1 << 20  # bytes of a copy, where a tensor's words do not start at a multiple of eight
_ODD = 0x1E3779B97F4A7C15  # without a pattern in its bits
_CPU = torch.device("cpu")
SAMPLE = 1024  # elements that speak for a tensor where not all of them are read


def readable(tensor: torch.Tensor) -> torch.Tensor | None:
    """Return the plain tensor whose bits can be read, or None: meta, sparse, quantised, lazy."""
    if torch.nn.parameter.is_lazy(tensor):
        return None
    if hasattr(tensor, "to_local"):  # a DTensor: this process sees its own part
        tensor = tensor.to_local()
    is_plain = (
        type(tensor).__torch_dispatch__ is torch.Tensor.__torch_dispatch__
        and tensor.layout is torch.strided
        and not (tensor.is_meta or tensor.is_quantized or tensor.is_conj() or tensor.is_neg())
        and tensor.untyped_storage().nbytes() > 0
    )
    return tensor.detach() if is_plain else None


def fingerprints(tensors: Sequence[torch.Tensor]) -> list[int]:
    """Return one number for each readable tensor. Equal bits give equal numbers.

    Words of 64 bits are added up in `COLUMNS` columns, then the columns with fixed odd weights,
    modulo 2^64. Where the numbers differ, the bits do. One wait for each device.
    """
    result = [0] * len(tensors)
    devices = dict.fromkeys(tensor.device for tensor in tensors)
    for device in devices:
        chosen = [i for i, tensor in enumerate(tensors) if tensor.device == device]
        pieces = [_pieces(tensors[i]) for i in chosen]
        sizes = tuple(tuple(len(part) for part in parts) for parts in pieces)
        flat = [part for parts in pieces for part in parts]
        if not flat:
            continue
        weights, ends = _layout(sizes, _CPU)
        totals = torch.cumsum(torch.cat(flat).cpu() * weights, 0)
        so_far = torch.cat([totals.new_zeros(1), totals])[list(ends)].tolist()
        before = 0
        for i, until in zip(chosen, so_far, strict=True):
            result[i] = (until - before + 2**63) % 2**64 - 2**63
            before = until
    return result


def digests(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return the same numbers, each as a tensor of one element on its device. Nobody waits."""
    result = [torch.empty(0)] * len(tensors)
    for device in dict.fromkeys(tensor.device for tensor in tensors):
        chosen = [i for i, tensor in enumerate(tensors) if tensor.device == device]
        pieces = [_pieces(tensors[i]) for i in chosen]
        sizes = tuple(tuple(len(part) for part in parts) for parts in pieces)
        flat = [part for parts in pieces for part in parts]
        weights = _layout(sizes, device)[0]
        weighed = torch.cat([weights[:0], *flat]) * weights
        for i, own in zip(chosen, weighed.split([sum(parts) for parts in sizes]), strict=True):
            result[i] = own.sum()
    return result


def forget_layouts() -> None:
    """Give back what is kept for the next fingerprints of the same tensors."""
    _layout.cache_clear()


def samples(tensors: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    """Return up to `SAMPLE` evenly spread elements of each tensor, on the CPU."""
    return list(_to_cpu([_flat(t)[:: -(-t.numel() // SAMPLE) or 1] for t in tensors]))


def spacing(number: float, dtype: torch.dtype) -> float:
    """Return the distance from a number to the next one of its dtype; 0 for integers."""
    if not dtype.is_floating_point:
        return 0.0
    limits = torch.finfo(dtype)
    if not abs(number) > limits.smallest_normal:  # zero, subnormal or nan
        return limits.smallest_normal * limits.eps
    return math.ldexp(limits.eps, math.frexp(number)[1] - 1)


def largest(tensors: Sequence[torch.Tensor]) -> list[float]:
    """Return the largest absolute value of each tensor of floats, 0 of any other."""
    floats = [t if t.is_floating_point() and t.element_size() > 1 else None for t in tensors]
    found = largest_on_device(floats)
    read = dict(zip(found, read_together(list(found.values())), strict=True))
    return [read.get(i, 0.0) for i in range(len(tensors))]


def _to_cpu(parts: list[torch.Tensor]) -> Iterable[torch.Tensor]:
    """Move many small vectors with one wait for each device and dtype; in order."""
    moved: dict[int, torch.Tensor] = {}
    for kind in dict.fromkeys((part.device, part.dtype) for part in parts):
        chosen = [i for i, part in enumerate(parts) if (part.device, part.dtype) == kind]
        joined = torch.cat([parts[i] for i in chosen]).cpu()
        moved.update(zip(chosen, joined.split([len(parts[i]) for i in chosen]), strict=True))
    return (moved[i] for i in range(len(parts)))


def _flat(tensor: torch.Tensor) -> torch.Tensor:
    """Return all elements as one row, without a copy where memory has no gaps."""
    if tensor.is_contiguous():
        return tensor.view(-1)
    if torch.ops.aten.is_non_overlapping_and_dense(tensor):  # channels-last, transposed
        return tensor.as_strided((tensor.numel(),), (1,))
    return tensor.reshape(-1)


def _pieces(tensor: torch.Tensor) -> list[torch.Tensor]:
    """Return vectors of int64 that together depend on every byte."""
    octets = _flat(tensor).view(torch.uint8)
    whole = octets.numel() // 8 * 8
    pieces: list[torch.Tensor] = []
    if octets.storage_offset() % 8:
        for chunk in octets[:whole].split(CHUNK):
            pieces += _columns(chunk.clone().view(torch.int64))
    else:
        pieces += _columns(octets[:whole].view(torch.int64))
    if octets.numel() > whole:
        pieces.append(octets[whole:].to(torch.int64))
    return pieces


def _columns(words: torch.Tensor) -> list[torch.Tensor]:
    rows = words.numel() // COLUMNS
    head = [words[: rows * COLUMNS].view(rows, COLUMNS).sum(0)] if rows else []
    tail = words[rows * COLUMNS :]
    return [*head, tail] if tail.numel() else head


@functools.lru_cache(maxsize=16)
def _layout(
    sizes: tuple[tuple[int, ...], ...], device: torch.device
) -> tuple[torch.Tensor, tuple[int, ...]]:
    """Return the weight of each word, and where each tensor's words end."""
    farthest = max((i * COLUMNS + n for parts in sizes for i, n in enumerate(parts)), default=0)
    serial = torch.arange(1, farthest + 1, dtype=torch.int64, device=device) * _ODD | 1
    weights: list[torch.Tensor] = []
    ends: list[int] = []
    end = 0
    for parts in sizes:
        weights += [serial[i * COLUMNS : i * COLUMNS + n] for i, n in enumerate(parts)]
        end += sum(parts)
        ends.append(end)
    return torch.cat([serial[:0], *weights]), tuple(ends)
