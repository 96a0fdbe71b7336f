"""The two sentences that every format needs: it is damaged, and it asks for code."""

from pathlib import Path

from stepscope.checkpoint_files.content import UnreadableCheckpoint

_SHOWN = 20  # names in a message; the error holds all


def refused(path: Path, names: tuple[str, ...]) -> UnreadableCheckpoint:
    """Return the error for a pickle that asks for more than values."""
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return UnreadableCheckpoint(
        path,
        f"loading this file would run code: it asks for {', '.join(names[:_SHOWN])}{more}",
        expected="tensors, numbers, text and containers; nothing was executed",
        advice="save a state_dict() in the place of whole objects, and do not load this file"
        " unless you trust who wrote it",
        names=names,
    )


def damaged(path: Path, what: str, expected: str) -> UnreadableCheckpoint:
    """Return the error for a file whose own words cannot be true."""
    return UnreadableCheckpoint(
        path,
        what,
        expected=expected,
        advice="compare its size with the original's, and copy it again",
    )
