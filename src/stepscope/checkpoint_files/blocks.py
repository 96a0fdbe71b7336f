"""The values of a tensor in a file, a bounded piece at a time."""

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

import torch

from stepscope.checkpoint_files.content import ITEM_BYTES, TensorAt
from stepscope.checkpoint_files.formats.files import Opened, opened, shorter

BLOCK = 16 << 20  # bytes
AHEAD = 16 << 20  # bytes that the system is asked to have ready


def blocks(tensor: TensorAt, size: int = BLOCK) -> Iterator[torch.Tensor]:
    """Yield the stored elements in the order of memory, as rows of at most `size` bytes.

    A row is a view of one buffer that the next row overwrites: copy what shall stay. Gaps between
    the elements are left out; elements that overlap (an expanded tensor) come once.

    Raises:
        UnreadableCheckpoint: the file has become shorter since it was looked into.
    """
    with Reader(min(size, tensor.nbytes)) as reader:
        yield from reader.blocks(tensor)


def loaded(tensor: TensorAt) -> torch.Tensor:
    """Return a contiguous copy in memory: for scalars and other small tensors.

    Raises:
        UnreadableCheckpoint: the file has become shorter since it was looked into.
        ValueError: the tensor is expanded: its shape has more elements than the file stores.
    """
    dtype = getattr(torch, tensor.dtype)
    stored = tensor.nbytes // ITEM_BYTES[tensor.dtype]
    if tensor.elements > stored:
        raise ValueError(f"a tensor of shape {tensor.shape} whose file stores {stored} elements")
    with Reader(tensor.nbytes) as reader:
        row = reader.span(tensor, tensor.start, tensor.nbytes)
        return (
            row.view(dtype)
            .as_strided(tensor.shape, tensor.stride)
            .clone(memory_format=torch.contiguous_format)
        )


class Reader:
    """Reads tensors into one buffer. The file of the last tensor stays open for the next."""

    def __init__(self, size: int) -> None:
        self._size = max(size, *ITEM_BYTES.values())
        octets = bytearray(self._size)
        self._into = memoryview(octets)
        self._buffer = torch.frombuffer(octets, dtype=torch.uint8)
        self._open = ExitStack()
        self._file: Opened | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def blocks(self, tensor: TensorAt) -> Iterator[torch.Tensor]:
        """Yield the stored elements, as `blocks` says."""
        dtype = getattr(torch, tensor.dtype)
        item = ITEM_BYTES[tensor.dtype]
        yield from self._walk(tensor, dtype, tensor.start, _in_memory_order(tensor, item), item)

    def span(self, tensor: TensorAt, start: int, nbytes: int) -> torch.Tensor:
        """Return bytes of the tensor's file, in the buffer."""
        file = self._opened(tensor.file)
        done = 0
        while done < nbytes:
            more = os.preadv(file.descriptor, [self._into[done:nbytes]], start + done)
            if not more:
                raise shorter(tensor.file)
            done += more
        if sys.platform == "linux":  # the disk works on while we compute
            os.posix_fadvise(file.descriptor, start + done, AHEAD, os.POSIX_FADV_WILLNEED)
        return self._buffer[:nbytes]

    def _walk(
        self,
        tensor: TensorAt,
        dtype: torch.dtype,
        start: int,
        dims: list[tuple[int, int]],
        item: int,
    ) -> Iterator[torch.Tensor]:
        """Yield what lies in these dimensions, (stride, length) each, the longest stride first."""
        if not dims:
            return
        (step, length), inner = dims[0], dims[1:]
        row = 1 + sum([(n - 1) * s for s, n in inner])  # elements from a first to its last
        fit = (self._size // item - row) // step + 1
        if fit < 1:
            for i in range(length):
                yield from self._walk(tensor, dtype, start + i * step * item, inner, item)
            return
        shape, stride = [n for _, n in inner], [s for s, _ in inner]
        for first in range(0, length, fit):
            rows = min(fit, length - first)
            nbytes = ((rows - 1) * step + row) * item
            octets = self.span(tensor, start + first * step * item, nbytes)
            yield (
                octets.view(dtype).as_strided((rows, *shape), (step, *stride)).contiguous().view(-1)
            )

    def _opened(self, path: Path) -> Opened:
        if self._file is None or self._file.path != path:
            self._open.close()
            self._file = self._open.enter_context(opened(path))
        return self._file


def _in_memory_order(tensor: TensorAt, item: int) -> list[tuple[int, int]]:
    """Return (stride, length) of the dimensions, merged where they follow each other.

    Where elements overlap, the whole span stands for them.
    """
    if not tensor.nbytes:
        return []
    dims: list[tuple[int, int]] = []
    reach = 1
    pairs = zip(tensor.stride, tensor.shape, strict=True)
    for step, length in sorted([(s, n) for s, n in pairs if n > 1 and s > 0]):
        if step < reach:
            return [(1, tensor.nbytes // item)]
        if dims and step == dims[-1][0] * dims[-1][1]:
            dims[-1] = (dims[-1][0], dims[-1][1] * length)
        else:
            dims.append((step, length))
        reach += (length - 1) * step
    return dims[::-1] or [(1, 1)]
