"""Which frozen tensors are, bit by bit, those of a checkpoint."""

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import torch

from stepscope.evidence.freezing import Comparison
from stepscope.freezing.proof.tensors import Held, bits

Checkpoint = str | os.PathLike[str] | Mapping[str, torch.Tensor]
DEEPEST = 4  # names in a prefix that a file or a model has in front of the other's


class Origin:
    """What a checkpoint holds, as fingerprints. Its tensors are not kept."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        """Read it.

        Raises:
            UnreadableCheckpoint: the file is none that can be read, or not without running code.
            OSError: the file is not there, or may not be read.
        """
        if isinstance(checkpoint, Mapping):
            self.name = "a state dict"
            values = [value.detach() for value in checkpoint.values()]
            numbers = zip(checkpoint, bits(values), strict=True)
            self._numbers = {name: number for name, number in numbers if number is not None}
        else:
            self.name = os.fspath(checkpoint)
            from stepscope.checkpoint_files.statistics import fingerprints  # few proofs read files

            self._numbers = fingerprints(Path(checkpoint))

    def compare(self, held: Sequence[Held]) -> Comparison:
        """Compare the present bits of tensors with those of the checkpoint.

        The names of one may have a prefix that those of the other lack; the change of names that
        finds most of them counts.
        """
        kept = {each.name: each.tensor for each in held if each.is_persistent}
        strip, prepend = _change(kept, self._numbers)
        found = {name: self._numbers.get(prepend + name.removeprefix(strip)) for name in kept}
        there = [name for name, number in found.items() if number is not None]
        different = there
        for order in _ORDERS:  # of its elements in memory; a file may keep another
            copies = [_in_order(kept[name], order) for name in different]
            numbers = zip(different, bits(copies), strict=True)
            different = [name for name, number in numbers if number != found[name]]
        return Comparison(
            checkpoint=self.name,
            strip=strip,
            prepend=prepend,
            identical=tuple(name for name in there if name not in different),
            different=tuple(different),
            absent=tuple(name for name, number in found.items() if number is None),
        )


_ORDERS = (torch.contiguous_format, torch.preserve_format, torch.channels_last)


def _in_order(tensor: torch.Tensor | None, order: torch.memory_format) -> torch.Tensor | None:
    """Return the elements in this order; channels last only where there are four axes."""
    if tensor is None or order is torch.preserve_format:
        return tensor
    if order is torch.channels_last and tensor.dim() != len("NCHW"):
        return tensor
    return tensor.detach().contiguous(memory_format=order)


def _change(ours: Iterable[str], theirs: Mapping[str, int]) -> tuple[str, str]:
    """Return what to take off our names, and what to put in front, to find most of them."""
    names = tuple(ours)
    changes = [("", "")]
    changes += [(strip, "") for strip in _prefixes(names)]
    changes += [("", prepend) for prepend in _prefixes(theirs)]
    found = {
        change: sum(change[1] + n.removeprefix(change[0]) in theirs for n in names)
        for change in changes
    }
    return max(changes, key=lambda change: found[change])  # of equals the first


def _prefixes(names: Iterable[str]) -> list[str]:
    """Return every prefix of whole names, the shortest first."""
    found: dict[str, None] = {}
    for name in names:
        parts = name.split(".")[:-1]
        found.update(("".join(f"{p}." for p in parts[:d]), None) for d in range(1, DEEPEST + 1))
    return sorted(found, key=lambda prefix: (prefix.count("."), prefix))
