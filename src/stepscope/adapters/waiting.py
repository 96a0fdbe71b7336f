"""Says where the program is while nothing is recorded yet, and ends it when its time is over."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable

from stepscope.adapters.leaving import RecordingTimedOut
from stepscope.core import Place
from stepscope.probes.source_lines import PROGRAM, kind_of, place_of

FIRST_WORD_S = 30.0
GRACE_S = 10.0  # between the polite end and the hard one


class Waiting:
    """A thread beside the program. `at` is where the program was when its time was over."""

    def __init__(
        self, timeout_s: float | None, steps: Callable[[], int], give_up: Callable[[], None]
    ) -> None:
        self.at: Place | None = None
        self._timeout_s = timeout_s
        self._steps = steps
        self._give_up = give_up
        self._main = threading.get_ident()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._wait, name="stepscope", daemon=True)

    def begin(self) -> None:
        """Start to wait."""
        self._thread.start()

    def end(self) -> None:
        """Stop waiting: the program has come to its end."""
        self._over.set()

    def _wait(self) -> None:
        began = time.monotonic()
        word = FIRST_WORD_S
        while True:
            passed = time.monotonic() - began
            limit = self._timeout_s - passed if self._timeout_s is not None else word
            if self._timeout_s is not None and limit <= 0:
                break
            if self._over.wait(min(word - passed, limit) if word > passed else 0.0):
                return
            if time.monotonic() - began >= word:
                self._say(word)
                word *= 2
        self.at = self._line()
        ctypes.pythonapi.PyThreadState_SetAsyncExc(
            ctypes.c_ulong(self._main), ctypes.py_object(RecordingTimedOut)
        )
        if not self._over.wait(GRACE_S):
            self._give_up()

    def _say(self, passed: float) -> None:
        done = self._steps()
        what = f"{done} optimizer steps so far" if done else "no optimizer step yet"
        sys.stderr.write(f"stepscope: {passed:.0f} s, {what}; at {self._line()}\n")
        sys.stderr.flush()

    def _line(self) -> Place:
        """Return the line of the program that its main thread is at."""
        frame = sys._current_frames().get(self._main)
        innermost = frame
        while frame is not None and kind_of(frame.f_code) != PROGRAM:
            frame = frame.f_back
        frame = frame or innermost
        return place_of(frame.f_code, frame.f_lineno) if frame is not None else Place()
