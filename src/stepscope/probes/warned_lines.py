"""Has warnings name the line that they would name without us: our own calls stand between."""

import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from torch import overrides

from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.value_tracing.mode import Following

_OURS = str(Path(__file__).parents[1])
_EXAMPLES = str(Path(__file__).parents[1] / "rules")
_MODE = Following.__torch_function__.__code__
_DISPATCH = overrides.handle_torch_function.__code__
_DISPATCHED = 3  # frames: the mode, the dispatch, and the function that was called at first
_REGISTRY = "__warningregistry__"  # in which `warnings` remembers, by module, what was shown


class WarnedLinesProbe(Probe):
    """Counts our frames out of `stacklevel`, and moves what is shown at one of our lines."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        run.patch(warnings, "warn", _counting, is_inert=True)
        # This one is called from C, for warnings of C++ too.
        run.patch(warnings, "_showwarnmsg", _moving, is_inert=True)


def _counting(warn: Callable[..., None]) -> Callable[..., None]:
    def observed(
        message: Any, category: Any = None, stacklevel: int = 1, *rest: Any, **options: Any
    ) -> None:
        hidden = 1 + _hidden(sys._getframe(1), stacklevel - 1)
        if options.get("skip_file_prefixes"):
            options["skip_file_prefixes"] = (*options["skip_file_prefixes"], _OURS)
        warn(message, category, max(stacklevel, 1) + hidden, *rest, **options)

    return observed


def _hidden(frame: FrameType | None, steps: int) -> int:
    """Count the frames that are there because of us within so many steps outwards."""
    hidden = 0
    for _ in range(steps):
        frame = frame.f_back if frame is not None else None
        while frame is not None and _is_ours(frame):
            count = _DISPATCHED if frame.f_code is _MODE and _is_dispatched(frame) else 1
            hidden += count
            for _ in range(count):
                frame = frame.f_back if frame is not None else None
    return hidden


def _moving(show: Callable[[Any], None]) -> Callable[[Any], None]:
    def observed(message: Any) -> None:
        if _is_our_file(message.filename):
            frame: FrameType | None = sys._getframe(1)
            while frame is not None and frame.f_code.co_filename != message.filename:
                frame = frame.f_back
            ours = frame.f_globals if frame is not None else {}
            while frame is not None and _is_ours(frame):
                frame = frame.f_back
            if frame is not None and not _is_new(message, ours, frame):
                return
        show(message)

    return observed


def _is_new(message: Any, ours: dict[str, Any], frame: FrameType) -> bool:
    """Move a warning to the line of a frame; tell whether it was not shown there before."""
    text = str(message.message)
    seen = ours.get(_REGISTRY, {})
    remembered = seen.pop((text, message.category, message.lineno), False)
    message.filename, message.lineno = frame.f_code.co_filename, frame.f_lineno
    if not remembered:  # the filter shows it every time
        return True
    theirs = frame.f_globals.setdefault(_REGISTRY, {})
    if theirs.get("version") != seen.get("version"):
        theirs.clear()
        theirs["version"] = seen.get("version")
    key = (text, message.category, message.lineno)
    is_new = key not in theirs
    theirs[key] = True
    return is_new


def _is_dispatched(frame: FrameType) -> bool:
    return frame.f_back is not None and frame.f_back.f_code is _DISPATCH


def _is_ours(frame: FrameType) -> bool:
    return _is_our_file(frame.f_code.co_filename)


def _is_our_file(name: str) -> bool:
    return name.startswith(_OURS) and not name.startswith(_EXAMPLES)
