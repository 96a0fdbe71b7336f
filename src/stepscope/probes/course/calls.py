"""Calls of modules that no other module makes, seen in some steps and left alone in the others."""

from collections.abc import Callable
from typing import Any

import torch

from stepscope.probes.putting_back import put_back


class OutermostCalls:
    """Wraps the call of modules while it is asked to, and tells what the outermost ones return.

    Where something else was put around it meanwhile, it stays inside, does nothing, and is used
    again the next time: wrappers never pile up.
    """

    def __init__(
        self,
        returned: Callable[[torch.nn.Module, object], None],
        is_ours: Callable[[], bool],
    ) -> None:
        """`is_ours` tells whether a call is none of the program's training."""
        self._returned = returned
        self._is_ours = is_ours
        self._is_on = False
        self._place: tuple[Callable[..., Any], Callable[..., Any]] | None = None  # original, ours
        self._depth = 0

    def turn_on(self) -> None:
        """Tell of calls from now on."""
        self._is_on = True
        self.lie_below()

    def lie_below(self) -> None:
        """Take the place on which others may put their own wrappers."""
        if self._place is not None:
            return
        original = torch.nn.Module._call_impl

        def observed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if not self._is_on or self._depth or self._is_ours():
                return original(module, *args, **kwargs)
            self._depth += 1
            try:
                output = original(module, *args, **kwargs)
            finally:
                self._depth -= 1
            self._returned(module, output)
            return output

        self._place = original, observed
        torch.nn.Module._call_impl = observed  # type: ignore[assignment, method-assign]

    def turn_off(self) -> None:
        """Tell of no more calls, and leave where nothing lies above."""
        self._is_on = False
        if self._place is None:
            return
        original, observed = self._place
        put_back(torch.nn.Module, "_call_impl", observed, original)
        if torch.nn.Module._call_impl is original:
            self._place = None
