"""The tensors of a frozen part by their place in the model, and their bits."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import nn

from stepscope.evidence.freezing import Count
from stepscope.probes.fingerprints import fingerprints, readable


@dataclass(frozen=True, slots=True)
class Held:
    """Where a model keeps one tensor. The program may put another tensor there."""

    name: str
    model: nn.Module
    is_buffer: bool

    @property
    def tensor(self) -> torch.Tensor | None:
        """The tensor that is there now; None where the program has put something else there."""
        owner, key = self._place
        if owner is None:
            return None
        return (owner._buffers if self.is_buffer else owner._parameters).get(key)

    @property
    def is_persistent(self) -> bool:
        """Whether a state dictionary of the model has it."""
        owner, key = self._place
        return owner is not None and key not in owner._non_persistent_buffers_set

    @property
    def _place(self) -> tuple[nn.Module | None, str]:
        """The module that has this name now, or None, and the key in it."""
        above, _, key = self.name.rpartition(".")
        try:
            return self.model.get_submodule(above), key
        except AttributeError:
            return None, key


def find(model: nn.Module, names: Iterable[str], *, is_buffer: bool) -> Iterator[Held]:
    """Find parameters, or buffers, by their qualified names."""
    return (Held(name, model, is_buffer) for name in names)


def bits(tensors: Sequence[torch.Tensor | None]) -> list[int | None]:
    """Return a fingerprint of each, in memory order; None where there is nothing to read.

    Waits once for each device.
    """
    # A default device would have our sums made there; autograd would record them.
    with torch._C.DisableTorchFunction(), torch.no_grad():
        plain = [None if tensor is None else readable(tensor) for tensor in tensors]
        read = iter(fingerprints([tensor for tensor in plain if tensor is not None]))
    return [None if tensor is None else next(read) for tensor in plain]


def count(tensors: Iterable[torch.Tensor]) -> Count:
    """Count tensors and their elements, a shared one once."""
    known = {id(tensor): tensor for tensor in tensors}
    return Count(tensors=len(known), elements=sum(each.numel() for each in known.values()))
