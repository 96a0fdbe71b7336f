"""What processes exchange while they evaluate."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import distributed

from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

SUMS = ("all_reduce", "reduce")
GATHERS = {"all_gather": 1, "all_gather_into_tensor": 1, "gather": 0}  # place of one's own part
OBJECTS = ("all_gather_object", "gather_object")


class Exchanges:
    """Hears collectives of torch from when it is first asked to: a call costs two more by then."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._lookout = Lookout(run, type(self).__name__)
        self._is_patched = False
        self._is_listening = False
        self.summed = False
        self.gathered = 0  # elements of the largest tensor of one's own
        self.objects = False

    def listen(self) -> None:
        """Hear what follows. Not where the program compiles: it would have to compile ours."""
        if not distributed.is_available() or self._run.compiled:
            return
        if not self._is_listening:
            self.summed, self.gathered, self.objects = False, 0, False
        self._is_listening = True
        if not self._is_patched:
            self._is_patched = True
            for name in (*SUMS, *GATHERS, *OBJECTS):
                self._run.patch(distributed, name, self._around(name))

    def stop(self) -> None:
        """Hear no more."""
        self._is_listening = False

    def _around(self, name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
        def around(exchange: Callable[..., Any]) -> Callable[..., Any]:
            def observed(*args: Any, **kwargs: Any) -> Any:
                if self._is_listening and self._lookout.is_open():
                    self._heard(name, args, kwargs)
                return exchange(*args, **kwargs)

            return observed

        return around

    def _heard(self, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if name in SUMS:
            self.summed = True
        elif name in OBJECTS:
            self.objects = True
        else:
            own = args[GATHERS[name]] if args[GATHERS[name] :] else None
            own = next((kwargs[key] for key in ("tensor", "input_tensor") if key in kwargs), own)
            if isinstance(own, torch.Tensor):
                self.gathered = max(self.gathered, own.numel())
