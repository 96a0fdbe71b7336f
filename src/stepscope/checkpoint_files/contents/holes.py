"""Runs of zeros that a storage, and not a training, left in a tensor.

A copy that was cut short, or blocks that never reached the disk, read as zeros from the beginning
of one page of the file to the end of another, wherever rows of the tensor begin.
"""

from collections.abc import Iterator

import torch

from stepscope.checkpoint_files.content import ITEM_BYTES, TensorAt
from stepscope.checkpoint_files.contents.stored import Stored
from stepscope.checkpoint_files.formats.files import Opened, opened
from stepscope.checkpoint_files.statistics import Statistics

PAGE = 4096  # bytes: the block size of common file systems
CHUNK = 256 * PAGE  # read at once
BESIDE = 8  # bytes on either side that must not all be zero


def hole(tensor: Stored, values: Statistics) -> int:
    """Return the bytes of the longest run of whole pages of zeros; 0 where there is none.

    Runs that go on beside the pages, or that begin and end with rows of the tensor, are left
    alone: rows of an embedding may be zero. So are tensors of zeros alone.
    """
    few = values.zeros * ITEM_BYTES[tensor.dtype] < PAGE
    if few or values.zeros == values.elements or "float" not in tensor.dtype:
        return 0
    return max((_in_piece(piece) for piece in tensor.pieces), default=0)


def _in_piece(piece: TensorAt) -> int:
    row = ITEM_BYTES[piece.dtype]
    for size in piece.shape[1:]:
        row *= size
    longest = 0
    with opened(piece.file) as file:
        for start, end in _runs(file, piece):
            in_rows = len(piece.shape) > 1 and not (
                (start - piece.start) % row or (end - piece.start) % row
            )
            if not in_rows and _ends_there(file, piece, start, end):
                longest = max(longest, end - start)
    return longest


def _runs(file: Opened, piece: TensorAt) -> Iterator[tuple[int, int]]:
    """Yield where runs of pages that are all zero begin and end in the file."""
    place = -(-piece.start // PAGE) * PAGE
    last = (piece.start + piece.nbytes) // PAGE * PAGE
    began: int | None = None
    while place < last:
        length = min(CHUNK, last - place)
        octets = torch.frombuffer(bytearray(file.read(place, length)), dtype=torch.int64)
        for at, is_zero in enumerate((octets.view(-1, PAGE // 8) == 0).all(1).tolist()):
            here = place + at * PAGE
            if is_zero and began is None:
                began = here
            elif not is_zero and began is not None:
                yield began, here
                began = None
        place += length
    if began is not None:
        yield began, last


def _ends_there(file: Opened, piece: TensorAt, start: int, end: int) -> bool:
    before = max(piece.start, start - BESIDE)
    after = min(piece.start + piece.nbytes, end + BESIDE)
    left, right = file.read(before, start - before), file.read(end, after - end)
    return (not left or any(left)) and (not right or any(right))
