"""Something to do right after a module was first imported, by whoever imports it."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType


class AfterImport:
    """Lets the other finders find the module, and acts when its code has run.

    To be put in front of `sys.meta_path`, which it leaves when it has found the module. No
    `MetaPathFinder`: to load that takes half of the time that a process pays which inherits the
    switch.
    """

    def __init__(self, name: str, act: Callable[[ModuleType], None]) -> None:
        self._name = name
        self._act = act
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer for the one name that is waited for, and for no other."""
        del path, target
        if fullname != self._name or self._asking:
            return None
        self._asking = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._asking = False
        if spec is None or spec.loader is None:
            return None
        sys.meta_path.remove(self)
        execute = spec.loader.exec_module

        def observed(module: ModuleType) -> None:
            execute(module)
            if module.__name__ == self._name:  # some loaders load many modules
                self._act(module)

        spec.loader.exec_module = observed  # type: ignore[method-assign]
        return spec
