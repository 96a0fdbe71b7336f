"""Memories of embeddings in a model: queues, banks, and where they go on."""

import re
from collections.abc import Iterator, Mapping

import torch

from stepscope.checkpoint_files.blocks import blocks
from stepscope.checkpoint_files.contents.stored import Stored
from stepscope.checkpoint_files.contents.values import Values
from stepscope.evidence.checkpoint_file import Bank

BANK = re.compile(r"(^|[._])(queue|memory_bank|feature_bank|bank|memory)(_\w+)?$")
POINTER = re.compile(r"(ptr|pointer|head|cursor|position)$")
LARGEST = 256 << 20  # bytes of a bank whose rows are looked at
MATRIX = 2  # dimensions that a bank has at least


def banks(model: Mapping[str, Stored], values: Values) -> Iterator[Bank]:
    """Yield each buffer that is called a bank, with the pointer that stands beside it."""
    for name, tensor in model.items():
        if not BANK.search(name) or len(tensor.shape) < MATRIX or "float" not in tensor.dtype:
            continue
        found = BANK.search(name)
        assert found is not None
        lead = name[: found.end(2)]
        beside = [
            other
            for other in model
            if other != name and other.startswith(lead) and POINTER.search(other)
        ]
        number = values.number(model[beside[0]]) if beside else None
        yield Bank(
            name=name,
            shape=tensor.shape,
            pointer=None if number is None else int(number),
            pointer_name=beside[0] if beside else "",
            empty_rows=_empty_rows(tensor),
        )


def _empty_rows(tensor: Stored) -> int | None:
    piece = tensor.pieces[0]
    width = tensor.shape[-1]
    if len(tensor.pieces) > 1 or tensor.nbytes > LARGEST or not width or not tensor.nbytes:
        return None
    rows = torch.cat([block.clone() for block in blocks(piece)])
    if rows.numel() % width or rows.dtype.itemsize == 1:
        return None
    table = rows.reshape(-1, width)
    return int((table == 0).all(1).sum())
