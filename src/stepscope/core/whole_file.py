"""A file that is written whole or not at all."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write the file that a path names, through a link too; into a pipe or device directly.

    Raises:
        OSError: the file cannot be written; one that was there before is untouched.
    """
    if path.exists() and not path.is_file():  # /dev/stdout: not to be put aside
        path.write_bytes(content)
        return
    draft = draft_of(path)
    try:
        draft.write_bytes(content)
        draft.replace(path.resolve())  # a link stays a link
    finally:
        draft.unlink(missing_ok=True)


def draft_of(path: Path) -> Path:
    """Return what is written first, in the same folder, so that it can take the file's place."""
    return path.resolve().with_name(f".stepscope-{os.getpid()}.part")
