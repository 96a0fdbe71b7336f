"""The words for what is in a checkpoint: a tree of plain values, and where its tensors lie."""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

ITEM_BYTES = {
    "bool": 1,
    "uint8": 1,
    "int8": 1,
    "uint16": 2,
    "int16": 2,
    "uint32": 4,
    "int32": 4,
    "uint64": 8,
    "int64": 8,
    "float8_e4m3fn": 1,
    "float8_e4m3fnuz": 1,
    "float8_e5m2": 1,
    "float8_e5m2fnuz": 1,
    "float8_e8m0fnu": 1,
    "float16": 2,
    "bfloat16": 2,
    "float32": 4,
    "float64": 8,
    "complex32": 4,
    "complex64": 8,
    "complex128": 16,
}
"""Bytes of one element of each dtype that a tensor here can have, by its name in torch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorAt:
    """Where the elements of a tensor lie in a file. None of them has been read.

    Shape and stride are in elements; the first element is the first byte of the span. The span
    lies inside the file, is as long as shape and stride need, and no stride is negative.
    """

    file: Path
    start: int  # byte of the file at which the first element lies
    dtype: str  # a key of ITEM_BYTES: "float32"
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    nbytes: int  # of the file, from the first element to the end of the last; gaps included
    storage: Hashable  # tensors of equal storage share memory, as tied and sliced ones do

    @property
    def elements(self) -> int:
        """Number of elements of the shape. Expanded tensors have more than the file stores."""
        return math.prod(self.shape)


@dataclass(eq=False, slots=True)
class Opaque:
    """An object of a class that is known to be harmless: described, never built."""

    name: str  # "mmengine.logging.history_buffer.HistoryBuffer"
    args: "tuple[Tree, ...]" = ()  # what its constructor would have been given
    state: "Tree" = None  # what would have become its attributes
    items: "list[Tree]" = field(default_factory=list)  # what a list, set or deque would hold
    entries: "dict[Key, Tree]" = field(default_factory=dict)  # what a dictionary would hold


Scalar: TypeAlias = str | int | float | complex | bool | bytes | None
Key: TypeAlias = "Scalar | TensorAt | Opaque | tuple[Key, ...]"
Tree: TypeAlias = "Scalar | TensorAt | Opaque | list[Tree] | tuple[Tree, ...] | dict[Key, Tree]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Everything that a checkpoint holds, its tensors as places in files.

    The tree is safe to walk by plain recursion: it never contains itself, nests at most
    `formats.tree.DEPTH` deep, and visiting it with all repetitions takes time in proportion to
    the size of the file. Its types are exactly those of `Tree`. Text in it is valid Unicode but
    may hold control characters.
    """

    path: Path  # as it was asked for
    format: str  # "torch", "torch, legacy", "safetensors", "safetensors, sharded", "DCP", ...
    nbytes: int  # of all its files together
    files: tuple[Path, ...]
    tree: Tree
    metadata: dict[str, str] = field(default_factory=dict)  # what the format itself notes
    classes: tuple[str, ...] = ()  # globals that the file names, sorted


class UnreadableCheckpoint(Exception):  # noqa: N818  # a fact about the file, as its readers say it
    """A file that was not read: why, and what to do. Nothing from it was executed."""

    def __init__(
        self,
        path: Path,
        found: str,
        *,
        expected: str = "",
        advice: str = "",
        names: Sequence[str] = (),
    ) -> None:
        self.path = path
        self.found = found  # "the zip archive ends in the middle of its directory"
        self.expected = expected
        self.advice = advice
        self.globals = tuple(names)  # those it asks for that are not known to be harmless
        parts = [f"{path}: {found}"]
        if expected:
            parts.append(f"expected {expected}")
        if advice:
            parts.append(advice)
        super().__init__("; ".join(parts))

    def __reduce__(self) -> tuple[object, ...]:
        """Survive a trip between processes, keyword arguments included."""
        return (_again, (self.path, self.found, self.expected, self.advice, self.globals))


def _again(
    path: Path, found: str, expected: str, advice: str, names: tuple[str, ...]
) -> UnreadableCheckpoint:
    return UnreadableCheckpoint(path, found, expected=expected, advice=advice, names=names)
