"""Finds large constants that multiply a surrogate value."""

from collections.abc import Iterator
from dataclasses import dataclass

from stepscope.probes.gradient_paths.cuts import Owner, around, line_of, surrogates
from stepscope.probes.gradient_paths.flow import Flow
from stepscope.probes.values import Line, Value

LARGE = 1e3  # a factor that no normalisation and no temperature has; below it nothing is asked
_FURTHEST = 12  # elementwise operations between the surrogate and the constant
TIMES = frozenset(["mul", "multiply", "__mul__", "__rmul__", "__imul__", "mul_"])
_OVER = frozenset(["div", "divide", "true_divide", "__truediv__", "__itruediv__", "div_"])
_KEEPING = TIMES | _OVER | frozenset({
    "add", "sub", "rsub", "neg", "__add__", "__sub__", "__radd__", "__rsub__", "__neg__",
    "__iadd__", "__isub__", "add_", "sub_", "view", "reshape", "unsqueeze", "squeeze", "expand",
    "transpose", "permute", "flatten", "unflatten", "clone", "contiguous", "to", "float",
    "half", "bfloat16", "double", "type", "__getitem__", "select", "gather", "index_select",
    "repeat", "T", "mT", "cat", "stack", "expand_as", "view_as", "reshape_as", "type_as",
    "broadcast_to", "chunk", "split", "unbind", "log", "log1p",
})  # fmt: skip


@dataclass(slots=True)
class AmplificationSeen:
    """One line with a large constant behind a surrogate."""

    constant: float
    operation: str
    line: Line | None
    owner: Owner
    around: Owner
    surrogate_line: Line | None
    module: str = ""


def find_amplifications(flow: Flow) -> Iterator[AmplificationSeen]:
    """Yield each large factor that a surrogate value meets before anything else happens to it."""
    sources = dict.fromkeys(surrogates(flow))
    sources.update(dict.fromkeys(v for v in flow.seen if _is_hard_gumbel(v)))
    for source in sorted(sources, key=lambda value: value.serial):
        waiting = [(source, 0)]
        seen: set[Value] = set()
        while waiting:
            value, far = waiting.pop()
            if value in seen or far > _FURTHEST:
                continue
            seen.add(value)
            constant = _large_factor(value)
            if constant is not None and value is not source:
                yield AmplificationSeen(
                    constant,
                    value.operation,
                    line_of(value),
                    value.owner,
                    around(source, value),
                    line_of(source),
                )
                continue
            waiting.extend(
                (child, far + 1)
                for child in flow.children(value)
                if child.requires_grad and child.operation in _KEEPING
            )


def _is_hard_gumbel(value: Value) -> bool:
    return value.operation == "gumbel_softmax" and value.requires_grad


def _large_factor(value: Value) -> float | None:
    for constant in value.constants:
        size = abs(constant)
        if value.operation in TIMES and size >= LARGE:
            return constant
        if value.operation in _OVER and 0 < size <= 1 / LARGE:
            return constant
    return None
