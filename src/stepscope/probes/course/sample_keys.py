"""The names of what a sample carries. Values are not looked at."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch

from stepscope.probes.source_lines import PROGRAM, forget_variables, running_frame

DEEPEST = 5  # containers within containers
MOST = 256  # names
VARIABLES = 64  # of a function that are looked through


class SampleKeys:
    """Keeps the names in the first batch of an evaluation, and says where they were found."""

    def __init__(self) -> None:
        self._keys: tuple[str, ...] = ()
        self._from = ""

    def came(self, batch: object) -> None:
        """Take in a batch that may be one of an evaluation, the first since the last step."""
        if not self._from:
            self._take(batch, "the batch of a DataLoader")

    def called(self, args: object) -> None:
        """Look at what the model is called with, and at the variables of who calls it."""
        self._take(args, "what the model is called with")
        frame = running_frame(PROGRAM)
        if self._keys or frame is None:
            return
        held = frame.f_locals
        mappings = {
            name: value
            for _, (name, value) in zip(range(VARIABLES), held.items(), strict=False)
            if isinstance(value, Mapping) and name[0] != "_"
        }
        self._take(mappings, f"variables of {frame.f_code.co_qualname}")
        del mappings
        forget_variables(frame, held)

    def found(self) -> tuple[tuple[str, ...], str]:
        """Return the names and where they were found, and forget them."""
        found = self._keys, self._from
        self._keys, self._from = (), ""
        return found

    def _take(self, sample: object, where: str) -> None:
        if not self._keys:
            self._keys = tuple(name for _, name in zip(range(MOST), _names(sample), strict=False))
            self._from = where if self._keys else self._from


def _names(sample: object, lead: str = "", depth: int = 0) -> Iterator[str]:
    """Yield the keys of nested mappings and objects; of a sequence its first member speaks."""
    if depth > DEEPEST or isinstance(sample, torch.Tensor | torch.nn.Module | str | bytes | type):
        return
    if isinstance(sample, Sequence):
        for member in list(sample[:1]) if depth else sample[:MOST]:
            yield from _names(member, lead, depth + 1)
        return
    for key, value in _fields(sample).items():
        if isinstance(key, str):
            yield lead + key
            yield from _names(value, f"{lead}{key}.", depth + 1)


def _fields(sample: object) -> Mapping[Any, Any]:
    """Return what a mapping, or an object of a class of samples, has by name."""
    if isinstance(sample, Mapping):
        return sample
    if type(sample).__module__ in ("builtins", "numpy", "pathlib"):
        return {}
    held = getattr(sample, "__dict__", {})
    return {key: value for key, value in held.items() if isinstance(key, str) and key[0] != "_"}
