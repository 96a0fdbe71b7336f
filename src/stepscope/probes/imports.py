"""Something to do once the program has imported a module, without importing it ourselves."""

import sys
from collections.abc import Callable
from types import ModuleType

from stepscope.importing import AfterImport
from stepscope.probes.live_run import LiveRun


def when_imported(run: LiveRun, name: str, act: Callable[[ModuleType], None]) -> None:
    """Call `act` with the module of this name: now, or right after its first import."""
    if name in sys.modules:
        act(sys.modules[name])
        return
    finder = AfterImport(name, act)
    sys.meta_path.insert(0, finder)
    run.on_end(lambda: sys.meta_path.remove(finder) if finder in sys.meta_path else None)
