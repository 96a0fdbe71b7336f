"""An unmodified program under watch from its first step to its last, in this process."""

import os
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from stepscope.adapters.elsewhere import Elsewhere
from stepscope.adapters.leaving import leave_at_once
from stepscope.adapters.own_words import show_traceback
from stepscope.adapters.target import Target
from stepscope.adapters.ways_out import WaysOut
from stepscope.evidence.environment import Ending
from stepscope.watching.watched import StoppedOnFinding, Watched


@dataclass(frozen=True, slots=True)
class Ended:
    """How a watched program came to its end."""

    ending: Ending
    code: int  # that it left with, or would have
    error: str = ""
    elsewhere: str = ""  # where steps were taken that nothing watched
    stopped: bool = False  # by a finding


def watch(target: Target, watched: Watched, conclude: Callable[[Ended], int]) -> int:
    """Run a program to its end, and return the exit code that `conclude` says.

    Where the program leaves its process on the spot, this process ends with it then and there.

    Raises:
        TargetError: the program cannot be started. Nothing has run then.
    """
    return _Watch(target.prepared(), watched, conclude).run()


class _Watch:
    def __init__(
        self, program: Callable[[], None], watched: Watched, conclude: Callable[[Ended], int]
    ) -> None:
        self._program = program
        self._watched = watched
        self._conclude = conclude
        self._elsewhere = Elsewhere()
        self._ways_out = WaysOut(self._left)
        self._process = os.getpid()

    def run(self) -> int:
        main = sys.modules["__main__"]
        # Between two calls of the program there is one of ours: what it may nest stays the same.
        sys.setrecursionlimit(2 * sys.getrecursionlimit())
        self._elsewhere.watch()
        self._ways_out.watch()
        ended = Ended(Ending.FINISHED, 0)
        try:
            with self._watched:
                self._program()
        except SystemExit as left:
            ended = _left_with(left)
        except StoppedOnFinding:
            ended = Ended(Ending.FINISHED, 1, stopped=True)
        except BaseException as error:  # noqa: BLE001 - whatever the program raises is its own
            show_traceback(error)
            said = "".join(traceback.format_exception_only(error)).strip()
            code = 130 if isinstance(error, KeyboardInterrupt) else 1
            ended = Ended(Ending.RAISED, code, said)
        if os.getpid() != self._process:  # a forked child that came to the end of the program
            return ended.code
        self._elsewhere.over()
        self._ways_out.over()
        sys.modules["__main__"] = main  # lets go of the program's globals, loaders among them
        return self._concluded(ended)

    def _left(self, error: str, code: int | None) -> None:
        """Report for a program that leaves its process on the spot, or to another program."""
        self._elsewhere.over()
        self._watched.close()
        verdict = self._concluded(Ended(Ending.FINISHED, code or 0, error))
        if code is not None:
            leave_at_once(verdict)

    def _concluded(self, ended: Ended) -> int:
        stopped = ended.stopped or self._watched.stopped
        return self._conclude(
            Ended(ended.ending, ended.code, ended.error, self._elsewhere.where, stopped)
        )


def _left_with(left: SystemExit) -> Ended:
    if left.code is None or isinstance(left.code, int):
        code = left.code or 0
        return Ended(Ending.FINISHED, code, f"SystemExit: {code}" if code else "")
    sys.stderr.write(f"{left.code}\n")  # as Python does
    return Ended(Ending.FINISHED, 1, f"SystemExit: {left.code}")
