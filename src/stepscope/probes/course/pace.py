"""Which steps are sampled: seldom enough to be afforded."""

import math

EVERY = 10  # at most one step in so many, after the first ones
FIRST = 20  # steps of which each is sampled
SHARE = 0.005  # of the time of the run, for sampling
ALLOWED_S = 0.1  # once in a run: a short one would show nothing but its beginning
SOONER = 10  # while that lasts: a step after each tenth of those taken
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
        self._allowed_s = ALLOWED_S
        self._last: float | None = None

    def stepped(self, step: int, now: float, looked_s: float) -> bool:
        """Take note that a step is over, and tell whether the next one is sampled.

        `now` is a time, and `looked_s` what looking has taken of the step, both in seconds. The
        first step tells nothing: with it come imports and the reading of data.
        """
        if self._last is not None:
            took = max(now - self._last - looked_s, 0.0)
            if self.step_s:
                took = MEMORY * self.step_s + (1 - MEMORY) * min(took, PAUSE * self.step_s)
            self.step_s = took
        self._last = now
        if step >= self._next:
            self._next = self._after(step, looked_s)
        return step + 1 >= self._next

    def _after(self, step: int, looked_s: float) -> int:
        """Return the step that is sampled after this one."""
        if self._every is not None:
            return step + self._every
        if step + 1 < FIRST:
            return step + 1
        affordable = math.ceil(looked_s / (SHARE * self.step_s)) if self.step_s else EVERY
        wanted = max(EVERY, affordable)
        if wanted > (sooner := step // SOONER) and looked_s <= self._allowed_s:
            self._allowed_s -= looked_s
            wanted = max(1, sooner)
        return step + wanted
