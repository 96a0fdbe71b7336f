"""Calls of modules that no other module makes, seen in some steps and left alone in the others."""

import sys
import threading
from collections.abc import Callable
from typing import Any

from torch.nn import Module
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook
from torch.utils.hooks import RemovableHandle


class OutermostCalls:
    """Listens to the calls of modules while it is asked to, by torch's global hooks.

    The class `Module` stays as it is: from Python 3.13 on, one that has been changed a thousand
    times is looked up slowly for good.
    """

    def __init__(
        self,
        is_ours: Callable[[], bool],
        *,
        returned: Callable[[Module, object], None],
        raised: Callable[[Module, tuple[object, ...], Exception], None],
        recovered: Callable[[Module], None],
    ) -> None:
        """`is_ours` tells whether a call is none of the program's training.

        Of exceptions all modules are told that they leave, and of a module that has raised since
        the last `turn_on`, that it has returned after all.
        """
        self._is_ours = is_ours
        self._returned, self._raised, self._recovered = returned, raised, recovered
        self._thread = threading.get_ident()
        self._handles: tuple[RemovableHandle, ...] = ()
        self._failed: set[int] = set()  # ids of modules
        # Modules that are running, outermost first, with what was being handled as each began.
        self._running: list[tuple[Module, BaseException | None]] = []

    @property
    def are_heard(self) -> bool:
        """Whether it listens."""
        return len(self._handles) > 0

    def turn_on(self) -> None:
        """Tell of calls from now on."""
        self._failed.clear()
        self._running.clear()
        if not self._handles:
            self._handles = (
                register_module_forward_pre_hook(self._enters),
                register_module_forward_hook(self._leaves, always_call=True),
            )

    def turn_off(self) -> None:
        """Tell of no more calls."""
        for handle in self._handles:
            handle.remove()
        self._handles = ()

    def _enters(self, module: Module, _: object) -> None:
        if threading.get_ident() == self._thread and (self._running or not self._is_ours()):
            self._running.append((module, sys.exception()))

    def _leaves(self, module: Module, given: Any, output: object) -> None:
        handled = self._pop(module)
        if handled is _NOT_RUNNING:
            return
        exception = sys.exception()
        if exception is handled or not isinstance(exception, Exception):
            if not self._running:
                self._returned(module, output)
            if self._failed and id(module) in self._failed and not self._is_ours():
                self._recovered(module)
        elif not self._is_ours():
            self._failed.add(id(module))
            by_name = sys._getframe(1).f_locals.get("kwargs", {})  # a hook is not given them
            self._raised(module, (*given, *by_name.values()), exception)

    def _pop(self, module: Module) -> object:
        """Let a module, and all that it has called, run no more; return what it began under.

        An interruption may have left modules without telling.
        """
        if threading.get_ident() == self._thread:
            for position in range(len(self._running) - 1, -1, -1):
                running, handled = self._running[position]
                if running is module:
                    del self._running[position:]
                    return handled
        return _NOT_RUNNING


_NOT_RUNNING = object()
