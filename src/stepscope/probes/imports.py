"""Something to do once the program has imported a module, without importing it ourselves."""

import importlib.util
import sys
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

from stepscope.probes.live_run import LiveRun


def when_imported(run: LiveRun, name: str, act: Callable[[ModuleType], None]) -> None:
    """Call `act` with the module of this name: now, or right after its first import."""
    if name in sys.modules:
        act(sys.modules[name])
        return
    finder = _Waiting(name, act)
    sys.meta_path.insert(0, finder)
    run.on_end(lambda: sys.meta_path.remove(finder) if finder in sys.meta_path else None)


class _Waiting(MetaPathFinder):
    """Lets the other finders find the module, and acts when its code has run."""

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
            self._act(module)

        spec.loader.exec_module = observed  # type: ignore[method-assign]  # of this one loader
        return spec
