"""Parameters that reach the losses only through a factor that is the number 0."""

from collections.abc import Iterable

from stepscope.probes.gradient_paths.amplifications import TIMES
from stepscope.probes.gradient_paths.flow import Flow, parameters_among
from stepscope.probes.values import Value


def zeroed(flow: Flow, roots: Iterable[Value]) -> tuple[set[int], set[int]]:
    """Return the `id` of the parameters behind a factor 0 only, and of those with other ways."""
    if not any(_is_zeroed(value) for value in flow.seen):
        return set(), parameters_among(flow.seen)
    seen: set[Value] = set()
    waiting = list(roots)
    while waiting:
        value = waiting.pop()
        if value not in seen:
            seen.add(value)
            if not _is_zeroed(value):
                waiting.extend(parent for parent in value.parents if parent.floating)
    others = parameters_among(seen)
    return parameters_among(flow.seen) - others, others


def _is_zeroed(value: Value) -> bool:
    return value.operation in TIMES and 0 in value.constants
