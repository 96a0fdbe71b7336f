"""A class of modules of which none has been used yet."""

import sys
from collections.abc import Callable
from typing import Any

import torch

_OF_MODULES = frozenset(dir(torch.nn.Module)) | frozenset(vars(torch.nn.Module()))
_CALLS = frozenset({"forward", "_call_impl"})
_LOOK_UP = "__getattribute__"
_OURS = "stepscope."
_RULES = "stepscope.rules."  # examples are programs


class UnusedClass:
    """Looks at what is asked of modules of a class until one is used, and then lets go of it.

    To be used is to be called, or to be asked for a method of its own, a tensor or a part. What
    torch itself does with all modules (to move, save, copy or print them, to change their mode) is
    no use.
    """

    def __init__(self, kind: type, since: int) -> None:
        """Begin in a step of the run."""
        self.is_used = False
        self.since = since
        self._kind = kind
        self._is_held = True
        read: Callable[[Any, str], Any] = getattr(kind, _LOOK_UP)

        def observed(module: Any, name: str) -> Any:
            if self._is_held and (name in _CALLS or name not in _OF_MODULES):
                self._asked(module, name, str(sys._getframe(1).f_globals.get("__name__")))
            return read(module, name)

        self._own, self._wrapper = vars(kind).get(_LOOK_UP), observed
        type.__setattr__(kind, _LOOK_UP, observed)

    def let_go(self) -> None:
        """Give the class back as it was. Nothing the second time."""
        self._is_held = False
        if vars(self._kind).get(_LOOK_UP) is not self._wrapper:
            return
        if self._own is None:
            type.__delattr__(self._kind, _LOOK_UP)
        else:
            type.__setattr__(self._kind, _LOOK_UP, self._own)

    def _asked(self, module: Any, name: str, by: str) -> None:
        if by.startswith(_OURS) and not by.startswith(_RULES):
            return
        held = object.__getattribute__(module, "__dict__")
        parts = (held.get(each, ()) for each in ("_parameters", "_buffers", "_modules"))
        if callable(getattr(self._kind, name, None)) or any(name in each for each in parts):
            self.is_used = True
            self.let_go()
