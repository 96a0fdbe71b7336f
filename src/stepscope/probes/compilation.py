"""Keeps the recorded steps of compiled models eager, so that they can be seen."""

from collections.abc import Callable
from typing import Any

import torch

from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe


class CompilationProbe(Probe):
    """Holds `torch.compile` back until the recording has ended. Yields nothing itself."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        run.patch(torch, "compile", self._around_compile)

    def _around_compile(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if not self.run.compiled:
                self.run.compiled = True
                # Setting a stance imports the compiler: only where the program wants it anyway.
                stance = torch.compiler.set_stance("force_eager")
                self.run.on_end(lambda: stance.__exit__(None, None, None))
            return compiled(*args, **kwargs)

        return observed
