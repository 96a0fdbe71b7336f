"""Says where something is, with paths as a reader of the project knows them."""

import os
from pathlib import Path

from stepscope.core import Place
from stepscope.core.joining import say_ranks
from stepscope.core.verdict import Reported, RunFacts
from stepscope.reporters.content.printable import one_line


def relative(file: str, root: str) -> str:
    """Return the path below `root`, with forward slashes; absolute where it is not below it."""
    path = os.path.normpath(Path(root) / file)
    inside = os.path.relpath(path, root) if path.startswith(root.rstrip(os.sep) + os.sep) else path
    return Path(inside).as_posix()


def source_line(place: Place, run: RunFacts) -> str:
    """Say the source line: "train.py:12 in main"; "" where the place has none."""
    if not place.file:
        return ""
    line = f":{place.line}" if place.line else ""
    function = "" if place.function in ("", "<module>") else f" in {place.function}"
    return one_line(f"{relative(place.file, run.root)}{line}{function}")


def element(place: Place, subject: str) -> str:
    """Name the parameter or module, where the subject does not say it already."""
    name = place.parameter or place.module
    if not name or name in subject:
        return ""
    return one_line(f"{'parameter' if place.parameter else 'module'} {name}")


def moment(reported: Reported) -> str:
    """Say when and in which processes: "after 2 optimizer steps, ranks 0-3"."""
    words = [_when(reported.finding.at.step)]
    words.append(say_ranks(reported.ranks) if reported.ranks else "")
    return ", ".join(word for word in words if word)


def _when(step: int | None) -> str:
    if step is None:
        return ""
    if step == 0:
        return "before the first optimizer step"
    return f"after {step} optimizer step{'s' if step > 1 else ''}"
