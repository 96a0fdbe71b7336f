"""Weights spread over several files, with an index in JSON that says which is where."""

from pathlib import Path

from stepscope.checkpoint_files.content import Key, TensorAt, Tree, UnreadableCheckpoint
from stepscope.checkpoint_files.formats.files import inside
from stepscope.checkpoint_files.formats.refusals import damaged
from stepscope.checkpoint_files.formats.single_file import Part, read_file

EXPECTED = 'an index with a "weight_map" from names of tensors to names of files'


def is_index(tree: Tree) -> bool:
    """Tell whether a file of JSON is the index of a sharded checkpoint."""
    return isinstance(tree, dict) and "weight_map" in tree


def read_sharded(path: Path, index: Part) -> tuple[Part, list[Path]]:
    """Return all tensors that the index names, in its order, and the files they are in.

    Raises:
        UnreadableCheckpoint: a file is missing, points out of the folder or is damaged, or does not
            hold what the index says.
    """
    places = index.tree["weight_map"] if isinstance(index.tree, dict) else None
    if not isinstance(places, dict) or not all(
        isinstance(name, str) and isinstance(file, str) for name, file in places.items()
    ):
        raise damaged(path, "its weight_map is no map from names to files", EXPECTED)
    shards = sorted({name for name in places.values() if isinstance(name, str)})
    files = [inside(path.parent, name) for name in shards]
    parts = {name: read_file(file) for name, file in zip(shards, files, strict=True)}
    tensors: dict[Key, Tree] = {}
    for name, shard in places.items():
        tree = parts[str(shard)].tree
        tensor = tree.get(name) if isinstance(tree, dict) else None
        if not isinstance(tensor, TensorAt):
            raise UnreadableCheckpoint(
                path,
                f"the index says that {name!r} is in {shard!r}; it is not",
                expected="an index and parts of one checkpoint",
                advice="copy all its files again, from one place",
            )
        tensors[name] = tensor
    formats = {part.format for part in parts.values()}
    notes = {key: value for part in parts.values() for key, value in part.metadata.items()}
    whole = Part(
        f"{' and '.join(sorted(formats)) or 'empty'}, sharded",
        index.nbytes + sum(part.nbytes for part in parts.values()),
        tensors,
        notes,
        frozenset().union(*[part.classes for part in parts.values()]),
    )
    return whole, [path, *files]
