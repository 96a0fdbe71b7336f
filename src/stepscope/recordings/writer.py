"""Records a run without keeping it waiting: a thread writes what it hands over."""

import atexit
import functools
import os
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from stepscope.core import Finding, Recording, Severity
from stepscope.evidence.course.line import Line
from stepscope.recordings.entries import Ended, Found
from stepscope.recordings.writing import BUDGET, Writing

PERIOD_S = 0.5  # what was handed over is on its way to the disk after this time
BREATH_S = 0.0002  # after each line: the program's own threads may have the interpreter
HANDED = 500_000  # numbers that wait for the thread, about 50 MB; further ones are left out
GRACE_S = 5.0  # that the end of a program waits for its disk


@dataclass(frozen=True, slots=True)
class _Window:
    step: int
    seconds: float
    seen: Recording


@dataclass(slots=True)
class _Wish:
    """To bring all that was handed over before to the disk; `done` when that was tried."""

    is_last: bool = False
    is_granted: bool = False
    done: threading.Event = field(default_factory=threading.Event)


Item = Line | Found | Ended | _Window | _Wish


class Recorder:
    """Writes down one process of a run. Nothing raises, and nothing but `flush` and `close` waits.

    In a forked child all of it does nothing: the files are the parent's.
    """

    def __init__(
        self,
        folder: Path,
        *,
        clock: Callable[[], float],
        said: Callable[[str], None],
        budget: int = BUDGET,
    ) -> None:
        """`folder` is made when it is first needed, with at most `budget` bytes below it.

        `clock` gives the seconds since the run began. `said` is told, in another thread, what
        hinders the recording, each trouble once.
        """
        self._clock = clock
        self._is_closed = False
        self._handed: deque[Item] = deque()
        # Each is counted by one side only; so nobody needs a lock.
        self._numbers_in = self._numbers_out = 0
        self._left_out = self._left_out_told = 0
        self._wake = threading.Event()
        self._is_urgent = False  # somebody waits
        self._writing = Writing(folder, budget, said)
        self._thread = threading.Thread(target=self._work, name="stepscope recording", daemon=True)
        atexit.register(self.flush)
        # Asking for the process's number at each line would cost more than all the rest.
        if sys.platform != "win32":
            os.register_at_fork(after_in_child=functools.partial(_close, weakref.ref(self)))
        try:
            self._thread.start()
        except RuntimeError as why:  # the system gives this process no more threads
            self._is_closed = True
            said(f"{folder} is not recorded: {why}")

    def line(self, line: Line) -> None:
        """Record a line. Its numbers must not be changed afterwards."""
        if self._is_closed:
            return
        if self._numbers_in - self._numbers_out > HANDED:
            self._left_out += bool(line.numbers)
            if not line.happened:
                return
            line = msgspec.structs.replace(line, numbers={})
        self._numbers_in += _weight(line)
        self._handed.append(line)

    def window(self, step: int, seen: Recording) -> None:
        """Record what a few steps have shown that were observed in full."""
        self._hand_over(_Window(step, self._clock(), seen))

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        """Record that a rule has found something."""
        seconds = self._clock()
        self._hand_over(
            Found(step=step, seconds=seconds, code=code, severity=severity, finding=finding)
        )

    def flush(self, within: float = GRACE_S) -> bool:
        """Wait until all is with the operating system, and tell whether it is."""
        return self._wish(_Wish(), within)

    def close(self, step: int, how: str) -> None:
        """Record the end of the run: "finished", "raised". What comes later is not recorded."""
        if self._hand_over(Ended(step=step, seconds=self._clock(), how=how)):
            self._wish(_Wish(is_last=True), 0.0)
            self._thread.join(GRACE_S)
            self._is_closed = True
        atexit.unregister(self.flush)

    def _hand_over(self, item: Item) -> bool:
        if not self._is_closed:
            self._handed.append(item)
        return not self._is_closed

    def _wish(self, wish: _Wish, within: float) -> bool:
        self._is_urgent = True
        if not self._hand_over(wish):
            return False
        self._wake.set()
        wish.done.wait(within)
        return wish.is_granted

    def _work(self) -> None:
        is_over = False
        while not is_over:
            self._wake.wait(PERIOD_S)
            self._wake.clear()
            while self._handed and not is_over:
                is_over = self._take(self._handed.popleft())
            self._writing.push()

    def _take(self, item: Item) -> bool:
        """Write it; tell whether it was the last."""
        match item:
            case Line():
                left_out, self._left_out_told = self._left_out - self._left_out_told, self._left_out
                self._writing.line(item, left_out)
                self._numbers_out += _weight(item)
                if not self._is_urgent:
                    time.sleep(BREATH_S)
            case _Window():
                self._writing.window(item.step, item.seconds, item.seen)
            case Found():
                self._writing.found(item)
            case Ended():
                self._writing.ended(item)
            case _Wish():
                self._is_urgent = False
                item.is_granted = self._writing.push(at_once=True)
                if item.is_last:
                    self._writing.close()
                item.done.set()
                return item.is_last
        return False


def _close(recorder: "weakref.ref[Recorder]") -> None:
    """Let a forked child, which has not got the thread, hand over nothing."""
    if (here := recorder()) is not None:
        here._is_closed = True


def _weight(line: Line) -> int:
    return 1 + sum(map(len, line.numbers.values()))
