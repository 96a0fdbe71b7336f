"""Findings in the program's own terminal, without breaking what it draws there."""

import contextlib
import sys

WIDTH = 80


def say(text: str) -> None:
    """Write lines to standard error, above a progress bar where there is one."""
    bars = sys.modules.get("tqdm")
    with contextlib.suppress(Exception):  # the program may have put anything in the place of both
        if bars is not None and getattr(bars.tqdm, "_instances", None):
            bars.tqdm.write(text, file=sys.stderr)
            return
        if sys.stderr is not None:  # rich puts its own there while it draws, and writes above
            sys.stderr.write(f"{text}\n")
            sys.stderr.flush()
