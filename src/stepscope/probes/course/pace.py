"""Which steps are sampled: seldom enough to be afforded."""

import math
import time

EVERY = 10  # at most one step in so many, after the first ones
FIRST = 20  # steps of which each is sampled
SHARE = 0.005  # of the time of the run, for sampling
MEMORY = 0.9  # of the average of times, per step
PAUSE = 2.0  # times the average: what takes longer is no step, but a step and something else


class Pace:
    """Chooses the next step to be sampled by what the last ones have cost.

    `every` fixes the distance instead.
    """

    def __init__(self, every: int | None = None) -> None:
        self._every = every
        self._next = 0
        self.step_s = 0.0  # average time of a step
        self._last: float | None = None

    def is_sampled(self, step: int) -> bool:
        """Tell whether a step that begins is sampled."""
        return step >= self._next

    def stepped(self, step: int, looked_s: float) -> None:
        """Take note that a step is over, of which looking has taken so many seconds.

        The first step tells nothing: with it come imports and the reading of data.
        """
        now = time.perf_counter()
        if self._last is not None:
            self._average(max(now - self._last - looked_s, 0.0))
        self._last = now
        if step < self._next:
            return
        if self._every is not None:
            self._next = step + self._every
        elif step + 1 < FIRST:
            self._next = step + 1
        else:
            affordable = math.ceil(looked_s / (SHARE * self.step_s)) if self.step_s else EVERY
            self._next = step + max(EVERY, affordable)

    def _average(self, took: float) -> None:
        if self.step_s:
            took = min(took, PAUSE * self.step_s)
        self.step_s = took if not self.step_s else MEMORY * self.step_s + (1 - MEMORY) * took
