"""How the names and shapes of two sets of tensors fit, and whether a prefix would fit them."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

Shapes = dict[str, tuple[int, ...]]
MOST_PREFIXES = 6  # of each side that are tried
DEEPEST_PREFIX = 3  # names in a prefix


def fits(theirs: tuple[int, ...], ours: tuple[int, ...]) -> bool:
    """Tell whether a tensor of a file can be copied into one of a model."""
    return theirs == ours or (ours == () and theirs == (1,))  # as torch < 0.4 wrote scalars


def best_repair(ours: Shapes, levels: Mapping[str, Shapes], matched: int) -> tuple[str, int]:
    """Return the change of names under which most tensors match, and how many; "" for none.

    `levels` are the tensors of the file by the entry that holds them, "" for the state itself.
    """
    best, most = "", matched
    for where, shapes in levels.items():
        for strip, prepend in _changes(ours, shapes):
            if not (where or strip or prepend):
                continue
            count = sum(
                fits(shape, ours[name])
                for key, shape in shapes.items()
                if key.startswith(strip) and (name := prepend + key.removeprefix(strip)) in ours
            )
            if count > most:
                best, most = _say(where, strip, prepend), count
    return best, most


def _changes(ours: Shapes, theirs: Shapes) -> Iterator[tuple[str, str]]:
    """Yield prefixes to strip and to prepend, the simplest first."""
    strips = _prefixes(theirs.keys() - ours.keys())
    prepends = _prefixes(ours.keys() - theirs.keys())
    yield "", ""
    yield from ((strip, "") for strip in strips)
    yield from (("", prepend) for prepend in prepends)
    yield from ((strip, prepend) for strip in strips for prepend in prepends)


def _prefixes(names: Iterable[str]) -> list[str]:
    counts: Counter[str] = Counter()
    for name in sorted(names):
        parts = name.split(".")[:-1]
        for depth in range(1, min(len(parts), DEEPEST_PREFIX) + 1):
            counts[".".join(parts[:depth]) + "."] += 1
    return [prefix for prefix, _ in counts.most_common(MOST_PREFIXES)]


def _say(where: str, strip: str, prepend: str) -> str:
    words = [f"load its entry {where!r}"] if where else []
    if strip and prepend:
        words.append(f"replace {strip!r} by {prepend!r}")
    elif strip:
        words.append(f"strip {strip!r}")
    elif prepend:
        words.append(f"prepend {prepend!r}")
    return " and ".join(words)
