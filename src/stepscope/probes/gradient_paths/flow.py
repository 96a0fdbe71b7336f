"""The values that one backward starts from, and all that they were computed from."""

from collections.abc import Iterable

from stepscope.probes.values import OPAQUE, Value

_SUMS = frozenset({
    "add", "sub", "__add__", "__sub__", "__radd__", "__rsub__", "__iadd__", "__isub__", "add_",
    "sub_",
})  # fmt: skip
CHECKPOINT = "Function:CheckpointFunction"


class Flow:
    """Walks values. Derivatives pass through floating-point values only, and so does it."""

    def __init__(self, roots: Iterable[Value]) -> None:
        self.seen: set[Value] = set()
        self._children: dict[Value, list[Value]] = {}
        waiting = list(roots)
        while waiting:
            value = waiting.pop()
            if value in self.seen:
                continue
            self.seen.add(value)
            for parent in value.parents:
                if parent.floating:
                    self._children.setdefault(parent, []).append(value)
                    waiting.append(parent)

    def children(self, value: Value) -> list[Value]:
        """Return what was computed from it on the way to the roots."""
        return self._children.get(value, [])

    def entries(self, cut: Iterable[Value]) -> list[tuple[Value, Value]]:
        """Return where values without gradient meet the graph again, each with what came in."""
        found: list[tuple[Value, Value]] = []
        waiting = list(cut)
        seen: set[Value] = set()
        while waiting:
            value = waiting.pop()
            if value in seen:
                continue
            seen.add(value)
            for child in self.children(value):
                if child.requires_grad:
                    found.append((child, value))
                else:
                    waiting.append(child)
        return sorted(found, key=lambda entry: entry[0].serial)

    def layers_after(self, value: Value) -> bool:
        """Tell whether a trainable parameter is applied to it, or to anything computed from it."""
        waiting = [value]
        seen: set[Value] = set()
        while waiting:
            after = waiting.pop()
            if after in seen:
                continue
            seen.add(after)
            if any(p.is_parameter and p.requires_grad for p in after.parents):
                return True
            waiting.extend(self.children(after))
        return False


def above(values: Iterable[Value], *, floating: bool = True) -> set[Value]:
    """Return all that these were computed from, themselves included."""
    found: set[Value] = set()
    waiting = list(values)
    while waiting:
        value = waiting.pop()
        if value not in found:
            found.add(value)
            waiting.extend(p for p in value.parents if p.floating or not floating)
    return found


def parameters_among(values: Iterable[Value]) -> set[int]:
    """Return the `id` of every trainable parameter among them."""
    leaves = (v.tensor for v in values if v.is_parameter and v.requires_grad)
    tensors = (leaf() for leaf in leaves if leaf is not None)
    return {id(tensor) for tensor in tensors if tensor is not None}


def is_surrogate(entry: Value, via: Value, ancestors: set[Value]) -> bool:
    """Tell `x + (y - x).detach()` and its kin: a sum that adds back what was cut."""
    if entry.operation not in _SUMS:
        return False
    others = [p for p in entry.parents if p is not via and p.requires_grad]
    return bool(others) and all(_comes_from(other, ancestors) for other in others)


def _comes_from(value: Value, ancestors: set[Value]) -> bool:
    if value in ancestors:
        return True
    if value.operation not in _SUMS:
        return False
    graded = [p for p in value.parents if p.requires_grad]
    return bool(graded) and all(_comes_from(p, ancestors) for p in graded)


def goes_unseen(values: Iterable[Value]) -> bool:
    """Tell whether some value came from code that could not be followed."""
    return any(value.operation == OPAQUE for value in values)
