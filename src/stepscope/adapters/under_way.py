"""A program that is under way, watched or checked from here to its end.

Nothing of ours is around it: that it ends shows in `sys.excepthook`, and when Python leaves.
"""

import atexit
import os
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import NoReturn

from stepscope.adapters.elsewhere import Elsewhere
from stepscope.adapters.leaving import RecordingEnded, leave
from stepscope.adapters.script import Checked, Checking
from stepscope.adapters.watched_run import WatchedRun
from stepscope.adapters.ways_out import WaysOut
from stepscope.core.verdict import Report
from stepscope.evidence.environment import Ending
from stepscope.evidence.intent import Intent
from stepscope.watching.watched import StoppedOnFinding, interrupt


class RunUnderWay:
    """The rest of a run, watched. Its exit code stays its own."""

    def __init__(self, run: WatchedRun, deliver: Callable[[Report], object]) -> None:
        self._run = run
        self._deliver = deliver
        self._elsewhere = Elsewhere()
        self._ways_out = WaysOut(self._left)
        self._process = os.getpid()
        self._is_over = False

    def begin(self) -> None:
        """Watch from here on."""
        # Between two calls of the program there is one of ours: what it may nest stays the same.
        sys.setrecursionlimit(2 * sys.getrecursionlimit())
        self._elsewhere.watch()
        self._ways_out.watch()
        atexit.register(self._at_exit)
        self._run.watched.__enter__()

    def _at_exit(self) -> None:
        if os.getpid() != self._process:  # a forked child that comes to the end of the program
            return
        error = uncaught()
        if isinstance(error, StoppedOnFinding):
            error = None
        try:
            raise_again(error)
        except BaseException:  # noqa: BLE001 - whatever the program raises is its own
            self._run.watched.close()  # samplers see that the run has not come to its end
        self._conclude(Ending.FINISHED if error is None else Ending.RAISED, said(error))

    def _left(self, error: str, _code: int | None) -> None:
        """Report for a program that leaves its process on the spot."""
        self._conclude(Ending.FINISHED, error)

    def _conclude(self, ending: Ending, error: str) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._elsewhere.over()
        self._ways_out.over()
        self._run.watched.close()
        report = self._run.conclude(ending, error=error, elsewhere=self._elsewhere.where)
        if report is not None:  # else it has not trained, or the first rank reports
            self._deliver(report)
            self._run.reported()


def stop_quietly(step: int) -> None:
    """Stop a program because of a finding, without a traceback where it lets the stop out."""

    def left(_: BaseException) -> NoReturn:
        leave(1)

    QuietEnd(StoppedOnFinding, left).expect()
    interrupt(step)


class CheckUnderWay:
    """The first steps of the rest of a program. Where they end it, the verdict is its exit code."""

    def __init__(
        self,
        program: str,
        *,
        steps: int,
        timeout_s: float | None,
        intent: Intent,
        conclude: Callable[[Checked], int],
    ) -> None:
        self._quiet_end = QuietEnd(RecordingEnded, self._recorded)
        self._conclude = conclude
        self._checking = Checking(
            program,
            steps=steps,
            timeout_s=timeout_s,
            intent=intent,
            conclude=conclude,
            recorded=self._quiet_end.expect,
            only_training=True,
        )
        self._process = os.getpid()
        self._is_over = False

    def begin(self) -> None:
        """Observe from here on."""
        atexit.register(self._at_exit)
        self._quiet_end.expect()  # its time may be over before a step is taken
        self._checking.begin()

    def _at_exit(self) -> None:
        if os.getpid() == self._process and not self._is_over:
            self._end(uncaught())

    def _recorded(self, ended: BaseException) -> NoReturn:
        leave(self._end(ended))

    def _end(self, ended: BaseException | None) -> int:
        self._is_over = True
        self._checking.wait_no_more()
        self._checking.over(ended)
        if not self._checking.has_trained:
            self._checking.forget()
            return 0
        return self._conclude(self._checking.checked())


class QuietEnd:
    """Tells of an exception of ours that ends the program, in the place of its traceback."""

    def __init__(
        self, kind: type[BaseException], ended: Callable[[BaseException], NoReturn]
    ) -> None:
        """`ended` raises `SystemExit` with the code to leave with."""
        self._kind = kind
        self._ended = ended

    def expect(self) -> None:
        """Expect it from now on, also where the program has put a hook of its own above."""
        before = sys.excepthook

        def told(
            kind: type[BaseException], error: BaseException, trace: TracebackType | None
        ) -> None:
            if isinstance(error, self._kind):
                self._ended(error)
            before(kind, error, trace)

        sys.excepthook = told


def uncaught() -> BaseException | None:
    """Return what ended the program, when Python leaves; None if nothing did."""
    if hasattr(sys, "ps1"):  # a console or a notebook, which goes on after each exception
        return None
    error: BaseException | None = getattr(sys, "last_value", None)
    return error


def raise_again(error: BaseException | None) -> None:
    """Raise what ended the program; do nothing where nothing did."""
    if error is not None:
        raise error


def said(error: BaseException | None) -> str:
    """Say it as the last line of its traceback does."""
    return "" if error is None else "".join(traceback.format_exception_only(error)).strip()
