"""How a run ended is noted, whatever way it took."""

import sys
from collections.abc import Callable

import pytest

from stepscope.evidence.course.endings import RunEnded
from stepscope.evidence.course.line import Line
from stepscope.probes.course.endings import EndingSampler
from stepscope.probes.course.pulse import Pulse


def interrupted() -> None:
    raise KeyboardInterrupt


def failed() -> None:
    raise ValueError


def handled() -> None:
    try:
        failed()
    except ValueError:
        return


@pytest.mark.parametrize(
    ("program", "finished", "error"),
    [
        (lambda: None, True, ""),
        (handled, True, ""),
        (sys.exit, True, ""),
        (lambda: sys.exit(0), True, ""),
        (lambda: sys.exit(3), False, "SystemExit"),
        (interrupted, False, "KeyboardInterrupt"),
        (failed, False, "ValueError"),
    ],
)
def test_a_run_finishes_unless_something_ends_it(
    program: Callable[[], None], *, finished: bool, error: str
) -> None:
    noted: list[Line] = []
    try:
        with Pulse([EndingSampler], line=noted.append):
            program()
    except (SystemExit, KeyboardInterrupt, ValueError):
        pass
    (line,) = noted
    assert line.happened == (RunEnded(finished=finished, error=error),)
