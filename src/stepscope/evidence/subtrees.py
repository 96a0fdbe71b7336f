"""Sums up many parameters by the modules that hold them, so that one cause is one finding."""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from stepscope.core import Place

MOST_NAMED = 5  # children of the model in one subject
MOST = 8  # subtrees in one report; more are summed up by the module above them all


@dataclass(frozen=True, slots=True)
class Subtree:
    """Chosen parameters below one module, or a single one of them."""

    name: str  # of the module, or of the parameter; "" is the whole model
    members: tuple[str, ...]  # the chosen parameters
    total: int  # parameters below the module, chosen or not
    whole: tuple[str, ...] = ()  # children of the model, where they are chosen whole or not at all
    others: tuple[str, ...] = ()  # its children of which nothing is chosen

    @property
    def label(self) -> str:
        """Say which part of the model it is: "backbone", "all but fc", "body, neck"."""
        if self.others and len(self.others) <= min(MOST_NAMED, len(self.whole)):
            return f"all but {', '.join(self.others)}"
        if self.others and len(self.whole) <= MOST_NAMED:
            return ", ".join(self.whole)
        return self.name or "the model"

    @property
    def subject(self) -> str:
        """Say what it is: "backbone (159 of 161 parameters)"."""
        if self.members == (self.name,):
            return self.name
        return f"{self.label} ({len(self.members)} of {self.total} parameters)"

    @property
    def place(self) -> Place:
        """Return the module, or the parameter."""
        if self.members == (self.name,):
            return Place(parameter=self.name)
        return Place(module=self.name) if self.name else Place(parameter=self.members[0])


def subtrees(chosen: Iterable[str], among: Iterable[str]) -> tuple[Subtree, ...]:
    """Group the chosen parameters by the deepest modules of which they are half or more.

    `among` holds the qualified names of all parameters, the chosen ones too.
    """
    names = tuple(dict.fromkeys(chosen))
    everything = tuple(dict.fromkeys((*among, *names)))
    if not names:
        return ()
    found = tuple(_split("", names, everything))
    return found if len(found) <= MOST else (_whole(_meet(names), names, everything),)


def _split(module: str, names: tuple[str, ...], everything: tuple[str, ...]) -> Iterable[Subtree]:
    everything = _below(module, everything)
    children: dict[str, list[str]] = {}
    for name in names:
        children.setdefault(_child(module, name), []).append(name)
    if len(names) == 1:
        yield Subtree(names[0], names, 1)
    elif len(children) > 1 and 2 * len(names) >= len(everything):
        whole, others = ([], []) if module else _children(names, everything)
        yield Subtree(module, names, len(everything), tuple(whole), tuple(others))
    else:
        for child, members in children.items():
            yield from _split(child, tuple(members), everything)


def _children(names: tuple[str, ...], everything: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the children of the model that are chosen whole, and those that are not at all.

    Nothing where a child is chosen in part.
    """
    chosen = Counter(_child("", name) for name in names)
    there = Counter(_child("", name) for name in everything)
    if any(there[child] != count for child, count in chosen.items()):
        return [], []
    return list(chosen), [child for child in there if child not in chosen]


def _whole(module: str, names: tuple[str, ...], everything: Collection[str]) -> Subtree:
    return Subtree(module, names, len(_below(module, everything)))


def _meet(names: tuple[str, ...]) -> str:
    """Return the deepest module that holds them all."""
    paths = [name.split(".")[:-1] for name in names]
    shared = 0
    while all(len(p) > shared for p in paths) and len({p[shared] for p in paths}) == 1:
        shared += 1
    return ".".join(paths[0][:shared])


def _below(module: str, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(n for n in names if not module or n == module or n.startswith(f"{module}."))


def _child(module: str, name: str) -> str:
    rest = name[len(module) + 1 :] if module else name
    head = rest.partition(".")[0]
    return f"{module}.{head}" if module else head
