"""Says where the program is while nothing is recorded yet, and ends it when its time is over."""

import ctypes
import sys
import threading
import time
from collections.abc import Callable

from stepscope.adapters.leaving import RecordingEnded, RecordingTimedOut
from stepscope.adapters.own_words import say
from stepscope.core import Place
from stepscope.probes.source_lines import PROGRAM, kind_of, place_of

FIRST_WORD_S = 30.0
GRACE_S = 10.0  # between the polite end and the hard one
TICK_S = 0.5


class Waiting:
    """A thread beside the program. `at` is where the program was when its time was over.

    `all_seen` tells that the processes of the program are recorded, and there is no more to wait
    for: the program may be waiting for an answer that they, ended early, will never give.
    """

    def __init__(
        self,
        timeout_s: float | None,
        steps: Callable[[], int],
        all_seen: Callable[[], bool],
        give_up: Callable[[], None],
    ) -> None:
        self.at: Place | None = None
        self._timeout_s = timeout_s
        self._steps = steps
        self._all_seen = all_seen
        self._give_up = give_up
        self._main = threading.get_ident()
        self._over = threading.Event()
        self._is_paused = False
        self._thread = threading.Thread(target=self._wait, name="stepscope", daemon=True)

    def begin(self) -> None:
        """Start to wait."""
        self._thread.start()

    def end(self) -> None:
        """Stop waiting: the program has come to its end."""
        self._over.set()
        self._take_back()

    def pause(self) -> None:
        """Do not interrupt the main thread from now on: it gathers the evidence."""
        self._is_paused = True
        self._take_back()

    def resume(self) -> None:
        """Go on as before."""
        self._is_paused = False

    def _wait(self) -> None:
        began = time.monotonic()
        word, seen_for = FIRST_WORD_S, 0.0
        while not self._over.wait(TICK_S):
            if self._is_paused:
                continue
            passed = time.monotonic() - began
            if self._timeout_s is not None and passed >= self._timeout_s:
                at = self._line()
                if self._is_paused or self._over.is_set():
                    continue
                self.at = at
                self._end(RecordingTimedOut)
                return
            seen_for = seen_for + TICK_S if self._all_seen() else 0.0
            if seen_for >= GRACE_S:
                self._end(RecordingEnded)
                return
            if passed >= word:
                self._say(word)
                word *= 2

    def _end(self, reason: type[RecordingEnded]) -> None:
        self._raise(ctypes.py_object(reason))
        if self._is_paused or self._over.is_set():
            self._take_back()
        if not self._over.wait(GRACE_S):
            self._give_up()

    def _take_back(self) -> None:
        """Forget what is to be raised in the main thread, and is not raised yet."""
        self._raise(None)

    def _raise(self, reason: "ctypes.py_object[type[RecordingEnded]] | None") -> None:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._main), reason)

    def _say(self, passed: float) -> None:
        done = self._steps()
        what = f"{done} optimizer steps so far" if done else "no optimizer step yet"
        say(f"{passed:.0f} s, {what}; at {self._line()}")

    def _line(self) -> Place:
        """Return the line of the program that its main thread is at."""
        frame = sys._current_frames().get(self._main)
        innermost = frame
        while frame is not None and kind_of(frame.f_code) != PROGRAM:
            frame = frame.f_back
        frame = frame or innermost
        return place_of(frame.f_code, frame.f_lineno) if frame is not None else Place()
