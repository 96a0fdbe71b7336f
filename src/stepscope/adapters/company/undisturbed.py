"""A report is written to its end, although a launcher ends all ranks as soon as one has failed."""

import os
import signal
import threading
from types import FrameType


class Undisturbed:
    """Puts SIGTERM off, between `begin` and `end`; a program that handles it is left to do so."""

    def __init__(self) -> None:
        self._is_on = False
        self._has_come = False

    def begin(self) -> None:
        """Put it off from now on. It is for the main thread alone to do so."""
        is_free = (
            threading.current_thread() is threading.main_thread()
            and signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        )
        if is_free and not self._is_on:
            self._is_on = True
            signal.signal(signal.SIGTERM, self._came)

    def end(self) -> None:
        """Let it have its way, also if it has come in the meantime."""
        if not self._is_on:
            return
        self._is_on = False
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if self._has_come:
            os.kill(os.getpid(), signal.SIGTERM)

    def _came(self, _signal: int, _frame: FrameType | None) -> None:
        self._has_come = True
