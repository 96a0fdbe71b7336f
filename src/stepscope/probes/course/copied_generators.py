"""Finds random generators of a data set's own, which each worker gets a copy of."""

import random
import sys
import types
from collections.abc import Iterator
from itertools import islice

import torch

MOST = 200  # objects that are looked at
RESEEDS = "get_worker_info"  # who asks for it may seed each worker differently


def copied_generators(dataset: object) -> tuple[str, ...]:
    """Name the generators that a data set and its parts draw from after they were made.

    A part is what an attribute, a list or a dictionary of it holds. One that is used by
    `__init__` alone is left out, and all are where the code asks which worker it runs in.
    """
    kinds: tuple[type, ...] = (random.Random, torch.Generator)
    if (numpy := sys.modules.get("numpy")) is not None:
        kinds = (*kinds, numpy.random.Generator, numpy.random.RandomState)
    found: list[str] = []
    waiting: list[tuple[str, object]] = [("", dataset)]
    known: set[int] = set()
    while waiting and len(known) < MOST:
        path, owner = waiting.pop()
        if id(owner) in known:
            continue
        known.add(id(owner))
        used = _names_in_methods(type(owner))
        if RESEEDS in used:
            return ()
        for name, held in _parts(owner):
            place = f"{path}.{name}".lstrip(".")
            if isinstance(held, kinds):
                if name in used:
                    found.append(place)
            elif not isinstance(held, torch.Tensor | types.ModuleType):
                waiting.append((place, held))
    return tuple(found)


def _parts(owner: object) -> Iterator[tuple[str, object]]:
    if isinstance(owner, dict):
        yield from ((str(key), value) for key, value in islice(owner.items(), MOST))
    elif isinstance(owner, list | tuple):
        yield from ((str(place), value) for place, value in enumerate(islice(owner, MOST)))
    elif hasattr(owner, "__dict__") and not isinstance(owner, type):
        yield from vars(owner).items()


def _names_in_methods(kind: type) -> set[str]:
    """Return the attributes that its methods use, those of its parents too, but for `__init__`."""
    return {
        name
        for parent in kind.__mro__
        for method, function in vars(parent).items()
        if method != "__init__" and isinstance(function, types.FunctionType)
        for name in function.__code__.co_names
    }
