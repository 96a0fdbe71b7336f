"""Finds what a package holds, so that nobody keeps a list."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import TypeGuard, TypeVar

T = TypeVar("T")


def members(package: ModuleType, belongs: Callable[[object], TypeGuard[T]]) -> Iterator[T]:
    """Yield every value that `belongs`, from the module that defines it, in order of file names."""
    for info in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        module = importlib.import_module(info.name)
        if not info.ispkg:  # a package's face only hands names on
            yield from filter(belongs, vars(module).values())
