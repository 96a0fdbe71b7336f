"""All the evidence of one process of a run."""

import math
from collections.abc import Iterable, Iterator
from typing import Self, TypeVar

import msgspec

from stepscope.core.evidence import Evidence

E = TypeVar("E", bound=Evidence)


class Recording:
    """At most one piece of evidence of each kind."""

    def __init__(self, *evidence: Evidence) -> None:
        self._evidence: dict[type[Evidence], Evidence] = {}
        for item in evidence:
            self.add(item)

    def add(self, evidence: Evidence) -> None:
        """Keep it, in the place of an earlier one of its kind."""
        self._evidence[type(evidence)] = evidence

    def get(self, kind: type[E]) -> E | None:
        """Return the evidence of this kind, or None where the run gave none."""
        found = self._evidence.get(kind)
        assert found is None or isinstance(found, kind)
        return found

    def __iter__(self) -> Iterator[Evidence]:
        return iter(self._evidence.values())

    def to_json(self) -> bytes:
        """Write all evidence as one JSON object, keyed by the names of the kinds.

        JSON has no nan and no inf: they are written as the words, and read back as the numbers.
        """
        return msgspec.json.encode(
            {
                type(item).__name__: sayable(msgspec.to_builtins(item))
                for item in self._evidence.values()
            }
        )

    @classmethod
    def from_json(cls, data: bytes, kinds: Iterable[type[Evidence]]) -> Self:
        """Read what `to_json` wrote; kinds that are not listed are left out.

        Raises:
            msgspec.DecodeError: the text is no JSON, or a fact does not fit its kind.
        """
        raw = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
        named = {kind.__name__: kind for kind in kinds}
        return cls(
            *(
                msgspec.json.decode(text, type=named[name], strict=False)
                for name, text in raw.items()
                if name in named
            )
        )


def sayable(value: object) -> object:
    """Replace what JSON cannot say: numbers that are not finite, and halves of characters."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, str):  # a path whose bytes are no text has lone surrogates
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    if isinstance(value, dict):
        return {sayable(key): sayable(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [sayable(each) for each in value]
    return value
