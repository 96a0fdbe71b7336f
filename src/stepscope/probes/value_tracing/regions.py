"""The line that turned gradients off."""

import sys
from types import FrameType

import torch
import torch.utils._contextlib

from stepscope.probes.source_lines import running_frame
from stepscope.probes.values import Line

_DECORATORS = torch.utils._contextlib.__file__  # its wrappers run a function under a context


class Region:
    """Follows `no_grad`, `set_grad_enabled` and `inference_mode` from one call to the next."""

    def __init__(self) -> None:
        self.line: Line | None = None  # in force now; None while gradients are on
        self._outer: list[Line | None] = []  # where gradients were turned on again inside

    def turned(self, *, on: bool) -> None:
        """Gradients were turned on or off; the caller's frames tell where."""
        if _is_leaving(sys._getframe(1)):
            self.left(on=on)
        elif not on:
            self.line = self.line or opening_line()
        elif self.line is not None:
            self._outer.append(self.line)
            self.line = None

    def found(self, *, on: bool) -> None:
        """Gradients are on or off now, after a while that was not followed."""
        self._outer.clear()
        self.line = None if on else self.line or opening_line()

    def left(self, *, on: bool) -> None:
        """A context ended, and gradients are now as they were before it."""
        if on:
            self.line = None
        elif self.line is None and self._outer:
            self.line = self._outer.pop()


def opening_line() -> Line | None:
    """Return the line of the `with`, or the first line of the function that was decorated."""
    frame = running_frame()
    inner: FrameType | None = sys._getframe(1)
    while inner is not None and inner is not frame:
        if inner.f_code.co_filename == _DECORATORS:
            code = getattr(inner.f_locals.get("func"), "__code__", None)
            if code is not None:
                return code, code.co_firstlineno
        inner = inner.f_back
    return (frame.f_code, frame.f_lineno) if frame is not None else None


def _is_leaving(frame: FrameType | None) -> bool:
    """Tell a context that ends, and restores what was, from one that begins."""
    for _ in range(5):
        if frame is None:
            return False
        if frame.f_code.co_name == "__exit__":
            return True
        frame = frame.f_back
    return False
