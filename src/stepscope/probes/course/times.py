"""How long a step takes, how long of it training waits for data, and the memory it holds."""

import time
from collections.abc import Callable
from typing import Any

import psutil
import torch
from torch.utils.data import dataloader

from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun

SUBJECT = "time"
STEP, LOADER, MEMORY = "step", "loader", "memory"


class TimeSampler(Sampler):
    """Notes means over the steps since the last sampled one."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._process = psutil.Process()
        self._last = time.perf_counter()
        self._stepped = 0  # steps of the run that were over when it was noted last
        self._waited_s = 0.0
        self._batches = 0
        run.patch(dataloader._BaseDataLoaderIter, "__next__", self._around_next)

    def _around_next(self, following: Callable[..., Any]) -> Callable[..., Any]:
        def observed(loader: Any) -> Any:
            began = time.perf_counter()
            try:
                return following(loader)
            finally:
                self._waited_s += time.perf_counter() - began
                self._batches += 1

        return observed

    def step_over(self) -> None:
        """Note the means. The first step is no measure: it warms up."""
        if not self.notes.is_sampled:
            return
        now = time.perf_counter()
        over = self.run.step + 1
        steps = over - self._stepped
        if self.run.step > 0:
            self.notes.number(SUBJECT, STEP, (now - self._last) / steps)
            if self._batches:
                self.notes.number(SUBJECT, LOADER, self._waited_s / steps)
            self.notes.number(SUBJECT, MEMORY, self._memory())
        self._last, self._stepped, self._waited_s, self._batches = now, over, 0.0, 0

    def _memory(self) -> float:
        if torch.cuda.is_available() and torch.cuda.is_initialized():
            return float(torch.cuda.memory_allocated())
        return float(self._process.memory_info().rss)
