"""Which parameter each entry of an optimizer belongs to, where its keys are numbers.

An optimizer numbers its parameters in the order of its groups. Each group was nearly always filled
from `named_parameters()` in order, with some left out (frozen ones, those of another group). So a
group is a subsequence of the model's parameters in which the shapes agree. Where the earliest and
the latest such subsequence put an entry at the same parameter, no other reading is possible.
"""

from collections.abc import Sequence
from dataclasses import dataclass

Shape = tuple[int, ...]
MOST_CHOICES = 100  # that are listed of one entry
MOST_ROUNDS = 20  # in which one group's certainties are taken from the others


@dataclass(frozen=True, slots=True)
class Named:
    """What the entries of all groups were found to be."""

    choices: tuple[tuple[tuple[int, ...], ...], ...]  # per group and entry: indices of parameters

    @property
    def is_possible(self) -> bool:
        """Whether every entry has a parameter that it can belong to."""
        return all(choices for group in self.choices for choices in group)


def aligned(groups: Sequence[Sequence[Shape | None]], parameters: Sequence[Shape]) -> Named:
    """Return the parameters that each entry may be; none where the orders do not agree.

    `None` is the shape of an entry without state, which may be any parameter. What is certain for
    one group is taken from the others, until nothing more follows.

    >>> aligned([[(2, 2), (2,)]], [(2, 2), (2,), (2, 2)]).choices
    (((0,), (1,)),)
    """
    taken: list[set[int]] = [set() for _ in groups]  # certain, by group
    choices = [_choices(group, parameters, set()) for group in groups]
    for _ in range(MOST_ROUNDS):
        certain = [{each[0] for each in group if len(each) == 1} for group in choices]
        if certain == taken:
            break
        taken = certain
        for at, group in enumerate(groups):
            others: set[int] = set().union(*(taken[:at] + taken[at + 1 :]))
            choices[at] = _choices(group, parameters, others)
    return Named(tuple(tuple(map(tuple, group)) for group in choices))


def _choices(
    group: Sequence[Shape | None], parameters: Sequence[Shape], excluded: set[int]
) -> list[list[int]]:
    """Return what each entry can be, in any subsequence of equal shapes; of many, the first."""
    free = [at for at in range(len(parameters)) if at not in excluded]
    first = _greedy(group, [parameters[at] for at in free])
    last = _greedy(group[::-1], [parameters[at] for at in reversed(free)])
    if first is None or last is None:
        return [[] for _ in group]
    latest = [len(free) - 1 - at for at in reversed(last)]
    return [
        [
            free[at]
            for at in range(early, min(late, early + MOST_CHOICES) + 1)
            if shape in (None, parameters[free[at]])
        ]
        for shape, early, late in zip(group, first, latest, strict=True)
    ]


def _greedy(group: Sequence[Shape | None], shapes: Sequence[Shape]) -> list[int] | None:
    """Return the earliest subsequence of `shapes` that the group agrees with."""
    found: list[int] = []
    at = 0
    for shape in group:
        while at < len(shapes) and shape is not None and shapes[at] != shape:
            at += 1
        if at == len(shapes):
            return None
        found.append(at)
        at += 1
    return found


def alike(entries: Sequence[Shape | None], parameters: Sequence[Shape]) -> list[tuple[int, ...]]:
    """Return the parameters of each entry's shape, whatever the order; all where it has none.

    >>> alike([(2, 3), (2,)], [(2,), (2, 3), (2,)])
    [(1,), (0, 2)]
    """
    by_shape: dict[Shape, list[int]] = {}
    for at, shape in enumerate(parameters):
        by_shape.setdefault(shape, []).append(at)
    every = tuple(range(min(len(parameters), MOST_CHOICES)))
    return [
        every if shape is None else tuple(by_shape.get(shape, ())[:MOST_CHOICES])
        for shape in entries
    ]
