"""Tensors and plain numbers among the arguments of a call."""

from collections.abc import Iterable, Mapping
from typing import Any

import torch

_DEEPEST = 4  # lists of lists of dictionaries of tensors


def tensors_in(values: Iterable[Any], depth: int = 0) -> list[torch.Tensor]:
    """Return the tensors in nested lists, tuples and dictionaries, in order."""
    found: list[torch.Tensor] = []
    for value in values:
        if isinstance(value, torch.Tensor):
            found.append(value)
        elif depth < _DEEPEST:
            if isinstance(value, list | tuple):
                found.extend(tensors_in(value, depth + 1))
            elif isinstance(value, dict):
                found.extend(tensors_in(value.values(), depth + 1))
    return found


def named_tensors(arguments: Mapping[str, Any], depth: int = 0) -> list[tuple[str, torch.Tensor]]:
    """Return tensors with the argument name or dictionary key that leads to them."""
    found: list[tuple[str, torch.Tensor]] = []
    for name, value in arguments.items():
        if isinstance(value, torch.Tensor):
            found.append((name, value))
        elif depth < _DEEPEST:
            if isinstance(value, Mapping):  # transformers' BatchEncoding is one too
                nested = {str(key): each for key, each in value.items()}
                found.extend(named_tensors(nested, depth + 1))
            elif isinstance(value, list | tuple):
                for each in value:
                    found.extend(named_tensors({name: each}, depth + 1))
    return found


def numbers_in(args: tuple[Any, ...]) -> tuple[float, ...]:
    """Return the Python numbers among positional arguments."""
    return tuple(a for a in args if type(a) in (float, int))


def plain_in(kwargs: dict[str, Any]) -> dict[str, float | str | bool]:
    """Return the keyword arguments that are plain numbers, strings or booleans."""
    return {k: v for k, v in kwargs.items() if isinstance(v, float | int | str | bool)}
