"""What becomes known of a program before it has shown that it trains."""

from collections.abc import Callable

from stepscope.core import Finding, Recording, Severity
from stepscope.evidence.course.line import Line
from stepscope.watching.watched import Keeper


class Late:
    """Keeps it in memory, until it is known where it is to be kept; little comes before a step."""

    def __init__(self) -> None:
        self._is_open = False
        self._kept: Keeper | None = None
        self._waiting: list[Callable[[Keeper], None]] = []

    def open(self, kept: Keeper | None) -> None:
        """Hand on what has come, and all that comes; to nobody where nothing can be written."""
        self._is_open = True
        self._kept = kept
        waiting, self._waiting = self._waiting, []
        if kept is not None:
            for tell in waiting:
                tell(kept)

    def line(self, line: Line) -> None:
        """Keep a line of the course."""
        if self._kept is not None:
            self._kept.line(line)
        elif not self._is_open:
            self._waiting.append(lambda kept: kept.line(line))

    def window(self, step: int, recording: Recording) -> None:
        """Keep what a window has shown."""
        self._tell(lambda kept: kept.window(step, recording))

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        """Keep a finding that has become true."""
        self._tell(lambda kept: kept.finding(step, code, severity, finding))

    def _tell(self, tell: Callable[[Keeper], None]) -> None:
        if self._kept is not None:
            tell(self._kept)
        elif not self._is_open:
            self._waiting.append(tell)
