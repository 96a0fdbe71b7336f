"""Which line of the observed program is running."""

import contextlib
import os
import sys
import sysconfig
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import torch

from stepscope.core import Place
from stepscope.probes.notebook import cell_of

_TORCH = f"{Path(torch.__file__).parent}{os.sep}"
_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_RULES = f"{_OURS}rules{os.sep}"  # examples are programs that are observed
_LIBRARIES = tuple({path + os.sep for name, path in sysconfig.get_paths().items() if "lib" in name})
_TYPED = ("<ipython-input", "<python-input", "<stdin>")  # by a person, into a shell
_kinds: dict[CodeType, int] = {}  # code objects are immutable: what they are is known once

MACHINERY, LIBRARY, PROGRAM = 0, 1, 2


def kind_of(code: CodeType) -> int:
    """Tell torch and stepscope (MACHINERY) from installed LIBRARY code and the PROGRAM itself."""
    kind = _kinds.get(code)
    if kind is None:
        kind = _kinds[code] = kind_of_file(code.co_filename)
    return kind


def kind_of_file(file: str) -> int:
    """Tell the same of a source file."""
    if file.startswith((_RULES, *_TYPED)):
        return PROGRAM
    if file.startswith((_TORCH, _OURS, "<")) or file == contextlib.__file__:
        return MACHINERY
    return LIBRARY if file.startswith(_LIBRARIES) else PROGRAM


def running_frame(least: int = LIBRARY) -> FrameType | None:
    """Return the innermost frame whose code is at least of this kind."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and kind_of(frame.f_code) < least:
        frame = frame.f_back
    return frame


def running_line(least: int = LIBRARY) -> Place:
    """Return the line that called into torch: of a library too, or of the PROGRAM only.

    Where the program has no line on the stack, the library's is better than none.
    """
    frame = running_frame(least) or running_frame()
    return place_of(frame.f_code, frame.f_lineno) if frame is not None else Place()


def forget_variables(frame: FrameType, held: Any) -> None:
    """Empty the copy of its variables that Python 3.11 and 3.12 would keep, unless it is shared.

    `held` is `frame.f_locals`, which the caller holds in one variable of its own.
    """
    alone = 4  # the frame, our caller, our argument, getrefcount's argument
    if held is not frame.f_globals and isinstance(held, dict) and sys.getrefcount(held) <= alone:
        held.clear()


def place_of(code: CodeType, line: int) -> Place:
    """Name a line of a code object."""
    return Place(file=cell_of(code.co_filename), line=line, function=code.co_qualname)
