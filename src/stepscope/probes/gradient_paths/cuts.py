"""Finds where a value goes on and its gradient does not, and what the value is for."""

import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from torch import nn

from stepscope.evidence.gradient_paths import CutKind, CutRole
from stepscope.probes.gradient_paths.flow import (
    CHECKPOINT,
    Flow,
    above,
    is_surrogate,
    parameters_among,
)
from stepscope.probes.value_tracing.operations import DETACHING
from stepscope.probes.values import Line, Value

Owner = weakref.ref[nn.Module] | None
Key = tuple[CutKind, Line | None]
_MOST = 200  # different lines that cut, in one backward
_STRONGEST = (CutRole.FEATURE, CutRole.WEIGHT, CutRole.STRAIGHT_THROUGH, CutRole.TARGET)


@dataclass(slots=True)
class CutSeen:
    """One line that cuts, over all steps. Holds no value; parameters are given by `id`."""

    kind: CutKind
    role: CutRole
    operation: str
    line: Line | None
    region: Line | None
    enters: tuple[Line, ...]
    owner: Owner  # innermost module that ran where it is cut
    around: Owner  # innermost module in one call of which it is cut and enters again
    upstream: set[int]
    inside: set[int]
    module: str = ""
    steps: set[int] = field(default_factory=set)
    owners: set[int] = field(default_factory=set)  # `id` of each innermost module

    def join(self, other: "CutSeen") -> None:
        """Take in the same line, seen again."""
        self.role = min(self.role, other.role, key=_STRONGEST.index)
        self.upstream |= other.upstream
        self.inside |= other.inside
        self.steps |= other.steps
        self.owners |= other.owners


def find_cuts(flow: Flow) -> Iterator[tuple[Key, CutSeen]]:
    """Yield every line that cuts trainable parameters from the roots."""
    groups: dict[Key, list[Value]] = {}
    for value in sorted(flow.seen, key=lambda value: value.serial):
        kind = _kind(value) if value.lost and value.floating else None
        if kind is not None:
            key = (kind, value.region if kind is CutKind.NO_GRAD else line_of(value))
            if key in groups or len(groups) < _MOST:
                groups.setdefault(key, []).append(value)
    for key, group in groups.items():
        found = _describe(key[0], group, flow)
        if found is not None:
            yield key, found


def _kind(value: Value) -> CutKind | None:
    if value.operation == CHECKPOINT and value.grad_enabled:
        return None  # a rule of its own
    if value.operation.startswith("distributed."):
        return CutKind.COLLECTIVE
    if value.operation in DETACHING:
        return CutKind.DETACH
    # With gradients on, what loses them otherwise has no derivative by nature.
    return None if value.grad_enabled else CutKind.NO_GRAD


def _describe(kind: CutKind, group: list[Value], flow: Flow) -> CutSeen | None:
    lost = [p for value in group for p in value.lost if p.floating]
    ancestors = above(lost)
    upstream = parameters_among(ancestors)
    entries = flow.entries(group)
    if not upstream or not entries:
        return None
    first = group[0]
    return CutSeen(
        kind=kind,
        role=_role(entries, ancestors | set(group), flow),
        operation=first.operation,
        line=line_of(first),
        region=first.region if kind is CutKind.NO_GRAD else None,
        enters=tuple(dict.fromkeys(at for e, _ in entries if (at := line_of(e)) is not None)),
        owner=first.owner,
        around=next((around(first, entry) for entry, _ in flow.entries([first])), None),
        upstream=upstream,
        inside=parameters_among(lost),
        steps={first.step},
        owners={id(m) for v in group if v.owner is not None and (m := v.owner()) is not None},
    )


def _role(entries: list[tuple[Value, Value]], ancestors: set[Value], flow: Flow) -> CutRole:
    if all(via in entry.is_target for entry, via in entries):
        return CutRole.TARGET
    if all(is_surrogate(entry, via, ancestors) for entry, via in entries):
        return CutRole.STRAIGHT_THROUGH
    if any(flow.layers_after(entry) for entry, _ in entries):
        return CutRole.FEATURE
    return CutRole.WEIGHT


def surrogates(flow: Flow) -> Iterator[Value]:
    """Yield the values of the form `x - x.detach()`, by whatever operations they were made."""
    for value in flow.seen:
        if not value.lost or not value.floating or _kind(value) is None:
            continue
        ancestors = above(value.lost) | {value}
        for entry, via in flow.entries([value]):
            if is_surrogate(entry, via, ancestors):
                yield entry


def around(one: Value, other: Value) -> Owner:
    """Return the innermost module in one call of which both were made."""
    found: Owner = None
    for outer, same in zip(one.calls, other.calls, strict=False):
        if outer is not same:
            break
        found = outer[1]
    return found


def line_of(value: Value) -> Line | None:
    """Return the line that made it, in its cheap form."""
    return (value.code, value.line) if value.code is not None else None


def checkpoints_without_gradient(values: Iterable[Value]) -> Iterator[Value]:
    """Yield the results of re-entrant checkpoints that no input with gradient entered."""
    for value in values:
        if value.operation == CHECKPOINT and value.grad_enabled and value.lost:
            yield value
