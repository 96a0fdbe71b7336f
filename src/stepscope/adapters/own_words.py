"""What is said to the user beside the program's own words, whatever became of its streams."""

import contextlib
import os
import sys
import traceback
from pathlib import Path
from types import TracebackType

from stepscope.probes.source_lines import LIBRARY, kind_of

_OURS = f"{Path(__file__).parents[1]}{os.sep}"


def say(sentence: str) -> None:
    """Write a line to standard error, and past `sys.stderr`, which the program may have closed."""
    with contextlib.suppress(OSError):
        os.write(2, f"stepscope: {sentence}\n".encode(errors="backslashreplace"))


def show_traceback(error: BaseException) -> None:
    """Print the program's traceback as Python would, without the frames of the observer."""
    told = traceback.TracebackException(
        type(error), error, _from_the_program(error.__traceback__), compact=True
    )
    _leave_out_ours(told)
    text = "".join(told.format())
    try:
        assert sys.stderr is not None, "the program has set it to None"
        sys.stderr.write(text)
        sys.stderr.flush()
    except Exception:  # noqa: BLE001 - the program may have put anything there
        with contextlib.suppress(OSError):
            os.write(2, text.encode(errors="backslashreplace"))


def _from_the_program(trace: TracebackType | None) -> TracebackType | None:
    """Skip what led to the program: ourselves, and the machinery that runs modules."""
    while trace is not None and kind_of(trace.tb_frame.f_code) < LIBRARY and trace.tb_next:
        trace = trace.tb_next
    return trace


def _leave_out_ours(told: traceback.TracebackException) -> None:
    seen: list[traceback.TracebackException | None] = [told]
    while seen:
        each = seen.pop()
        if each is None:
            continue
        each.stack[:] = [frame for frame in each.stack if not frame.filename.startswith(_OURS)]
        seen += [each.__cause__, each.__context__, *(each.exceptions or ())]
