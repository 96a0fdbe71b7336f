"""Which classes of modules are built."""

from collections.abc import Callable, Iterator
from typing import Any

import torch

from stepscope.core import Evidence
from stepscope.evidence.built_modules import BuiltModules
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe


class BuiltModulesProbe(Probe):
    """Hears of each module that is made, copied or loaded."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._kinds: set[str] = set()
        for name in ("__init__", "__setstate__"):
            run.patch(torch.nn.Module, name, self._around, is_inert=True)

    def _around(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> None:
            make(module, *args, **kwargs)
            self._kinds.add(type(module).__name__)

        return observed

    def evidence(self) -> Iterator[Evidence]:
        """Hand out their names."""
        if self._kinds:
            yield BuiltModules(kinds=tuple(sorted(self._kinds)))
