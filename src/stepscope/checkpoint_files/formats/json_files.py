"""Settings and states that stand beside the weights in JSON."""

import json

from stepscope.checkpoint_files.content import Tree
from stepscope.checkpoint_files.formats.files import Opened
from stepscope.checkpoint_files.formats.refusals import damaged
from stepscope.checkpoint_files.formats.tensors import Malformed
from stepscope.checkpoint_files.formats.tree import check_tree

JSON_BYTES = 64 << 20
EXPECTED = "a file of JSON"


def read_json(file: Opened) -> Tree:
    """Return what the file holds. NaN and infinity are read as Python writes them.

    Raises:
        UnreadableCheckpoint: it is no JSON, or longer than `JSON_BYTES`.
    """
    if file.nbytes > JSON_BYTES:
        raise damaged(file.path, f"it has {file.nbytes} bytes", EXPECTED)
    try:
        text = file.read(0, file.nbytes).decode("utf-8", "strict")
        tree: Tree = json.loads(text)
        check_tree(tree, file.nbytes)
        _check_text(tree)
    except (ValueError, RecursionError, Malformed) as problem:
        raise damaged(file.path, f"this is no JSON: {problem}", EXPECTED) from problem
    return tree


def _check_text(tree: Tree) -> None:
    r"""Accept text that can be written again: "\ud800" is half a character.

    Raises:
        ValueError: a UnicodeEncodeError is one.
    """
    if isinstance(tree, str):
        tree.encode()
    elif isinstance(tree, list):
        for item in tree:
            _check_text(item)
    elif isinstance(tree, dict):
        for key, value in tree.items():
            _check_text(key)
            _check_text(value)
