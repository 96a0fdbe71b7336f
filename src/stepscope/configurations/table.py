"""A table of a file, checked against what may stand in it, with errors that help."""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import msgspec

T = TypeVar("T")

ANY = "[...]"  # how msgspec writes a value of a table with free keys

WORDS = {
    "array": "a list",
    "bool": "true or false",
    "float": "a number",
    "int": "a whole number",
    "object": "a table",
    "str": "a text in quotes",
}


@dataclass(frozen=True, slots=True)
class Table:
    """Where the table stands, for the errors."""

    path: Path
    heading: str  # "tool.stepscope." in a pyproject.toml, "" in a file of our own

    def mistake(self, key: str, what: str) -> ValueError:
        """Return the error to raise about one key."""
        return ValueError(f"{self.path}: {self.heading}{key}: {what}")

    def expect_keys(
        self,
        values: Mapping[str, object],
        known: Sequence[str],
        *,
        under: str = "",
        inside: type[msgspec.Struct] | None = None,
    ) -> None:
        """Refuse keys that are not known, with the nearest that is.

        `inside` is what the table `intent` holds: its keys are often written one level too high.
        """
        below = inside.__struct_fields__ if inside else ()
        for key in values:
            if key in known:
                continue
            name = f"{under}.{key}" if under else key
            if key in below:
                raise self.mistake(name, f"belongs into the table [{self.heading}intent]")
            raise self.mistake(name, f"unknown key; {_nearest(key, known)}")
        intent = values.get("intent") if inside else None
        if isinstance(intent, dict):
            self.expect_keys(intent, below, under="intent")

    def typed(self, values: Mapping[str, object], kind: type[T]) -> T:
        """Return the values as the struct that they are to be.

        Raises:
            ValueError: one of them has another type than the struct says.
        """
        try:
            return msgspec.convert(values, kind)
        except msgspec.ValidationError as why:
            raise self._translated(str(why), values) from None

    def _translated(self, why: str, values: object) -> ValueError:
        what, _, path = why.removesuffix("`").partition(" - at `$")
        key = path.replace(ANY, "").lstrip(".")
        if types := re.fullmatch(r"Expected `(.+)`, got `(.+)`", what):
            names = [WORDS.get(each, each) for each in types[1].split(" | ") if each != "null"]
            found = _at(path, values)
            return self.mistake(key, f"expected {' or '.join(names)}, found {found!r}")
        if missing := re.fullmatch(r"Object missing required field `(.+)`", what):
            return self.mistake(key, f"has no {missing[1]!r}, which it needs")
        return self.mistake(key, what)


def _nearest(key: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
    if close:
        return f"the nearest is {close[0]!r}"
    return f"known are {', '.join(known)}" if known else "there are none"


def _at(path: str, values: object) -> object:
    """Follow a path as msgspec writes it, ".intent.frozen[0]", as far as it names keys."""
    for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", path.partition(ANY)[0]):
        if key and isinstance(values, dict):
            values = values.get(key)
        elif index and isinstance(values, list):
            values = values[int(index)]
    return values
