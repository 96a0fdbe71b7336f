"""What lies below a module, found by qualified names without asking each of them."""

from bisect import bisect_left
from collections.abc import Iterable

AFTER_DOT = chr(ord(".") + 1)


class Below:
    """An index of qualified names, such as "backbone.layer1.0.conv1.weight"."""

    def __init__(self, names: Iterable[str]) -> None:
        in_order = sorted((name, position) for position, name in enumerate(names))
        self._names = [name for name, _ in in_order]
        self._positions = [position for _, position in in_order]

    def positions(self, module: str) -> list[int]:
        """Return where the names of a module, and of all below it, stand among those given."""
        if not module:
            return list(range(len(self._names)))
        own = self._between(module, f"{module}\0")
        return sorted(own + self._between(f"{module}.", f"{module}{AFTER_DOT}"))

    def _between(self, first: str, end: str) -> list[int]:
        return self._positions[bisect_left(self._names, first) : bisect_left(self._names, end)]
