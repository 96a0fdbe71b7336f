"""When a run is looked into with all probes: at its start, at declared steps, at turning points."""

from collections.abc import Iterable

SHARE = 0.01  # of the time of the run, for all windows but the first
MOST = 16  # in a run


class Windows:
    """Says when a window may open. What is asked for while it may not is forgotten."""

    def __init__(self, steps: Iterable[int] = ()) -> None:
        """`steps` are those before which one opens whatever it costs."""
        self._due = sorted(set(steps), reverse=True)
        self._opened = 0
        self._cost_s = 0.0

    def due(self, step: int) -> bool:
        """Tell whether a declared window opens before this step."""
        is_due = False
        while self._due and self._due[-1] <= step:
            self._due.pop()
            is_due = True
        return is_due

    def may_open(self, seconds: float) -> bool:
        """Tell whether one can be afforded, so many seconds into the run."""
        return self._opened < MOST and self._cost_s <= SHARE * seconds

    def opened(self) -> None:
        """Count one."""
        self._opened += 1

    def closed(self, cost_s: float) -> None:
        """Take note of what a window has cost beyond the steps that it looked at."""
        if self._opened > 1:
            self._cost_s += max(cost_s, 0.0)
