"""Keeps the recorded steps of compiled models eager, so that they can be seen."""

import sys
from collections.abc import Callable
from typing import Any

import torch

from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe


def has_compiled() -> bool:
    """Tell whether `torch.compile` has made anything in this process so far.

    What it made compiles whatever hooks it meets when it is called, and fails on those of probes.
    """
    frames = sys.modules.get("torch._dynamo.eval_frame")
    backends = vars(frames).get("cached_backends", {}) if frames is not None else {}
    return any(backend is not None for backend in backends.values())  # None: to run eagerly


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
