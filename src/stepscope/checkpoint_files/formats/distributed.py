"""Folders of torch.distributed.checkpoint: an index as a pickle, and files of saved tensors."""

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from stepscope.checkpoint_files.content import Key, Opaque, TensorAt, Tree
from stepscope.checkpoint_files.formats.files import Opened, inside, opened
from stepscope.checkpoint_files.formats.refusals import damaged, refused
from stepscope.checkpoint_files.formats.single_file import Part, read_file
from stepscope.checkpoint_files.formats.tensors import Malformed, count, counts
from stepscope.checkpoint_files.formats.torch_zip import read_torch_zip
from stepscope.checkpoint_files.formats.unpickler import (
    PICKLE_BYTES,
    HostileGlobals,
    unpickled,
)

INDEX = ".metadata"
EXPECTED = "a folder that torch.distributed.checkpoint wrote"
SHARDS = "torch.distributed.checkpoint.shards"
_Facts: TypeAlias = dict[object, object]
_WORDS = "torch.distributed.checkpoint.metadata."


@dataclass(frozen=True, slots=True)
class _Piece:
    """Where one piece of a value was saved."""

    name: str
    offsets: tuple[int, ...] | None  # of a tensor's piece in the whole
    file: str
    start: int
    length: int


def read_distributed(path: Path) -> tuple[Part, list[Path]]:
    """Return the tree of the folder, its names split into the paths that they were made of.

    A tensor of several pieces is an `Opaque` of the name `SHARDS`: its arguments are the shape of
    the whole, its entries the pieces, by the place of their first element.

    Raises:
        UnreadableCheckpoint: a part of it is missing, damaged or hostile.
    """
    index = path / INDEX
    with opened(index) as file:
        try:
            metadata, classes = _index(file)
            pieces = [_piece(key, info) for key, info in _pairs(metadata, "storage_data")]
            paths = dict(_pairs(metadata, "planner_data", required=False))
            shapes = _shapes(metadata)
        except HostileGlobals as problem:
            raise refused(index, problem.names) from problem
        except (Malformed, LookupError, TypeError, ValueError) as problem:
            raise damaged(index, f"the index is damaged: {problem}", EXPECTED) from problem
        nbytes = file.nbytes
    values: dict[str, Tree] = {}
    files = {name: inside(path, name) for name in sorted({piece.file for piece in pieces})}
    for name, place in files.items():
        with opened(place) as file:
            nbytes += file.nbytes
            for piece in [piece for piece in pieces if piece.file == name]:
                tree, named = _saved(file, piece)
                classes |= named
                _add(values, piece, tree, shapes.get(piece.name))
    _check_complete(path, values, shapes)
    part = Part("DCP", nbytes, _nested(index, values, paths), classes=frozenset(classes))
    beside = path / "meta.pt"  # Lightning's, when it shards a model
    if beside.exists():
        other = read_file(inside(path, beside.name))
        tree = part.tree
        if isinstance(tree, dict):
            tree["meta"] = other.tree
        part = Part("DCP", nbytes + other.nbytes, tree, classes=part.classes | other.classes)
        files[beside.name] = beside
    return part, [index, *files.values()]


def _index(file: Opened) -> tuple[_Facts, set[str]]:
    if file.nbytes > PICKLE_BYTES:
        raise Malformed(f"it has {file.nbytes} bytes")
    data = io.BytesIO(file.read(0, file.nbytes))
    metadata, classes = unpickled(data, file.nbytes, None)
    return _attributes(metadata, _WORDS + "Metadata"), classes


def _attributes(thing: object, name: str) -> _Facts:
    if not isinstance(thing, Opaque) or thing.name != name or not isinstance(thing.state, dict):
        raise Malformed(f"something stands where {name} should")
    attributes: _Facts = {}
    attributes.update(thing.state.items())
    return attributes


def _pairs(metadata: _Facts, name: str, *, required: bool = True) -> list[tuple[object, object]]:
    entries = metadata.get(name)
    if entries is None and not required:
        return []
    if not isinstance(entries, dict):
        raise Malformed(f"its {name} is no dictionary")
    return list(entries.items())


def _piece(key: object, info: object) -> _Piece:
    index = _attributes(key, _WORDS + "MetadataIndex")
    place = _attributes(info, "torch.distributed.checkpoint.filesystem._StorageInfo")
    name, file, offsets = index["fqn"], place["relative_path"], index.get("offset")
    if not isinstance(name, str) or not isinstance(file, str):
        raise Malformed("a name in it is no text")
    if place.get("transform_descriptors"):
        raise Malformed(f"{name[:200]!r} is compressed")
    return _Piece(
        name,
        None if offsets is None else counts(offsets, "an offset"),
        file,
        count(place["offset"], "the place of a piece"),
        count(place["length"], "the length of a piece"),
    )


def _shapes(metadata: _Facts) -> dict[str, tuple[int, ...] | None]:
    """Return the shape of each value, None for those that are no tensors."""
    shapes: dict[str, tuple[int, ...] | None] = {}
    for name, about in _pairs(metadata, "state_dict_metadata"):
        is_tensor = isinstance(about, Opaque) and about.name == _WORDS + "TensorStorageMetadata"
        size = _attributes(about, _WORDS + "TensorStorageMetadata")["size"] if is_tensor else None
        if not isinstance(name, str):
            raise Malformed("a name in it is no text")
        shapes[name] = counts(size, "a shape") if is_tensor else None
    return shapes


def _saved(file: Opened, piece: _Piece) -> tuple[Tree, set[str]]:
    if piece.start + piece.length > file.nbytes:
        what = f"it ends before the values of {piece.name[:200]!r} do"
        raise damaged(file.path, what, EXPECTED)
    return read_torch_zip(file, piece.start, piece.length)


def _add(values: dict[str, Tree], piece: _Piece, tree: Tree, shape: tuple[int, ...] | None) -> None:
    if not isinstance(tree, TensorAt) or shape is None or tree.shape == shape:
        values[piece.name] = tree
        return
    shards = values.setdefault(piece.name, Opaque(SHARDS, (shape,)))
    if isinstance(shards, Opaque):
        shards.entries[piece.offsets] = tree


def _check_complete(
    path: Path, values: dict[str, Tree], shapes: dict[str, tuple[int, ...] | None]
) -> None:
    missing = sorted(shapes.keys() - values.keys())
    if missing:
        raise damaged(path, f"the values of {missing[0]!r} are in none of its files", EXPECTED)
    for name, value in values.items():
        if isinstance(value, Opaque) and value.name == SHARDS:
            shape = shapes[name] or ()
            parts = [part for part in value.entries.values() if isinstance(part, TensorAt)]
            whole = math.prod(shape)
            if sum(part.elements for part in parts) != whole:
                raise damaged(path, f"the pieces of {name!r} are not the whole of it", EXPECTED)


def _nested(index: Path, values: dict[str, Tree], paths: _Facts) -> Tree:
    """Return the values in the dictionaries that their names were flattened from."""
    root: dict[Key, Tree] = {}
    for name, value in values.items():
        path = paths.get(name, (name,))
        if not isinstance(path, tuple) or not 0 < len(path) <= 32:  # noqa: PLR2004  # see DEPTH
            raise damaged(index, f"the path of {name[:200]!r} is damaged", EXPECTED)
        here = root
        for key in path[:-1]:
            below = here.setdefault(_key(index, key), {})
            if not isinstance(below, dict):
                raise damaged(index, f"the path of {name[:200]!r} is damaged", EXPECTED)
            here = below
        here[_key(index, path[-1])] = value
    return root


def _key(index: Path, key: object) -> Key:
    if not isinstance(key, str | int):
        raise damaged(index, "a path in it has a part that is no name", EXPECTED)
    return key
