"""Undoing a patch where the program may have patched the same since."""

from typing import Any


def put_back(owner: Any, name: str, ours: object, original: object) -> None:
    """Undo a patch, unless something of the program's own stands there now."""
    if vars(owner).get(name) is ours:
        setattr(owner, name, original)
