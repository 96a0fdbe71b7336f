"""Source lines with their surroundings, as they stand in the file."""

import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import ascii_lowercase

from stepscope.core import Place, Related
from stepscope.reporters.content.printable import printable

AROUND = 2  # lines shown above and below
NEAR = 6  # lines: a related place as near as this is shown in the same excerpt
LARGEST = 4_000_000  # bytes; no source file that a person wrote is larger
MEANT = ">"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of an excerpt; its mark is "" where nothing is said of it."""

    number: int
    text: str
    mark: str


@dataclass(frozen=True, slots=True)
class Excerpt:
    """Some lines around a place, and what the marks on lines other than its own stand for."""

    at: Place
    label: str  # "" for the finding's own place
    lines: tuple[Line, ...]  # () where the file cannot be read
    legend: Mapping[str, str]  # {"a": "gradients are turned off here"}


def excerpts(at: Place, related: Sequence[Related], root: str) -> tuple[Excerpt, ...]:
    """Show a place and those related to it, near ones together."""
    near: dict[int, list[Related]] = {}
    for each in related:
        if at.line and each.at.file == at.file and abs(each.at.line - at.line) <= NEAR:
            near.setdefault(each.at.line, []).append(each)
    letters = iter(ascii_lowercase)
    marks = {line: MEANT if line == at.line else next(letters) for line in near}
    lines = _lines(at, {**marks, at.line: MEANT}, root)
    if not lines:
        near, marks = {}, {}
    legend = {marks[line]: "; ".join(each.label for each in near[line]) for line in near}
    others = [
        Excerpt(each.at, each.label, _lines(each.at, {each.at.line: MEANT}, root), {})
        for each in related
        if all(each not in together for together in near.values())
    ]
    return (Excerpt(at, "", lines, legend), *others)


def _lines(place: Place, marks: Mapping[int, str], root: str) -> tuple[Line, ...]:
    if not place.file or place.line < 1:
        return ()
    source = _read(Path(root) / place.file)
    if not source or place.line > len(source):
        return ()
    first = max(min(place.line - AROUND, *marks), 1)
    last = min(max(place.line + AROUND, *marks), len(source))
    texts = {number: printable(source[number - 1]).rstrip() for number in range(first, last + 1)}
    while first not in marks and not texts[first]:
        del texts[first]
        first += 1
    while last not in marks and not texts[last]:
        del texts[last]
        last -= 1
    indent = min((len(text) - len(text.lstrip()) for text in texts.values() if text), default=0)
    return tuple(Line(at, text[indent:], marks.get(at, "")) for at, text in texts.items())


def _read(path: Path) -> list[str]:
    try:
        if path.stat().st_size > LARGEST:
            return []
        with tokenize.open(path) as source:
            return source.read().split("\n")
    except (OSError, SyntaxError, ValueError):  # ValueError: not text, or a name with a null byte
        return []
