"""Which line has last switched a module: `train()`, and `requires_grad_()`."""

import weakref
from collections.abc import Callable
from typing import Any

import torch

from stepscope.core import Place
from stepscope.evidence.parameters import is_below
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

TRAIN, THAW = "train", "requires_grad_"


class Switches:
    """The last call on each module that switches on what it names; of the outermost calls only."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._inside = False
        self._lookout = Lookout(run, type(self).__name__)
        self._count = 0
        self._last: dict[str, weakref.WeakKeyDictionary[torch.nn.Module, tuple[int, Place]]] = {}
        for name in (TRAIN, THAW):
            self._last[name] = weakref.WeakKeyDictionary()
            run.patch(torch.nn.Module, name, self._around(name))

    def last(self, name: str, switched: str) -> Place:
        """Return the line of the last call on a module above what is switched, or on itself."""
        last = max(
            (
                call
                for module, call in self._last[name].items()
                if is_below(switched, self._run.names.module(module))
            ),
            key=lambda call: call[0],
            default=(0, Place()),
        )
        return last[1]

    def _around(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def around(original: Callable[..., Any]) -> Callable[..., Any]:
            def observed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
                if self._inside or not self._lookout.is_open():
                    return original(module, *args, **kwargs)
                self._inside = True
                try:
                    result = original(module, *args, **kwargs)
                finally:
                    self._inside = False
                values = (*args, *kwargs.values())
                if not values or values[0]:
                    with self._lookout.looking():
                        self._count += 1
                        at = running_line(PROGRAM)
                        self._last[name][module] = self._count, at
                return result

            return observed

        return around
