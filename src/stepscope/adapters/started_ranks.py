"""Ranks that a watched program starts as programs of their own: they join its run.

Lightning's `ddp`, `torchrun` and `accelerate launch` start Python anew for each rank. A variable
in the environment tells it, where it turns out to be a rank, which run it belongs to: see
`stepscope.switch`, and `stepscope.adapters.joining_rank` for what happens there.
"""

import os
import pickle
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from stepscope.adapters.company.arrivals import Arrivals
from stepscope.adapters.company.exchange import Exchange
from stepscope.adapters.own_words import say
from stepscope.adapters.watched_children import ChildPlan
from stepscope.inherited import VARIABLE, marker
from stepscope.recordings.folder import RunFolder

HOW = "how"  # a file: how to watch them
PERIOD_S = 0.5  # between two looks at whether the first has come
SOON_S = 60.0  # later on it is looked for more rarely
LATER_S = 5.0


class StartedRanks:
    """Leaves word for them, and sees them come."""

    def __init__(self, plan: ChildPlan) -> None:
        self._plan = plan
        self._over = threading.Event()
        self._arrivals: Arrivals | None = None
        self._path = Path()
        self._before = os.environ.get(VARIABLE)

    is_waited_for = False  # by Python, when this process ends

    def __bool__(self) -> bool:
        """Tell whether any has come."""
        return bool(self.numbers())

    def numbers(self) -> Iterable[int]:
        """Return the ranks that have come."""
        return self._arrivals.others() if self._arrivals is not None else ()

    def is_gone(self, number: int) -> bool:
        """Tell whether a rank has ended."""
        return self._arrivals is None or self._arrivals.is_gone(number)

    def watch(
        self, run_folder: Callable[[], Path | None], first_started: Callable[[], None]
    ) -> None:
        """Let each that is started from now on join the run, once there is a folder.

        `first_started` is called in a thread.
        """
        folder = run_folder()
        if folder is None:
            return
        exchange = Exchange(RunFolder(folder.absolute()))
        try:
            exchange.path.mkdir(exist_ok=True)
            how = exchange.path / HOW
            how.touch(mode=0o600)  # it is loaded as a pickle, and must be nobody else's
            how.write_bytes(pickle.dumps(self._plan))
        except OSError as why:
            say(f"ranks that the program starts are not watched: {why}")
            return
        self._arrivals, self._path = Arrivals(exchange), exchange.path
        os.environ[VARIABLE] = marker(self._plan.program, str(folder.absolute()))
        threading.Thread(
            target=self._wait, args=(first_started,), name="stepscope arrivals", daemon=True
        ).start()

    def over(self) -> None:
        """Let no more of them join. Does nothing the second time."""
        if self._over.is_set():
            return
        self._over.set()
        if self._before is None:
            os.environ.pop(VARIABLE, None)
        else:
            os.environ[VARIABLE] = self._before
        if self._arrivals is not None and not self._is_met():
            shutil.rmtree(self._path, ignore_errors=True)

    def _is_met(self) -> bool:
        """Tell whether anybody has handed anything over there, this process included."""
        return any(each.name != HOW for each in self._path.iterdir())

    def _wait(self, first_started: Callable[[], None]) -> None:
        soon = time.monotonic() + SOON_S
        while not self._over.wait(PERIOD_S if time.monotonic() < soon else LATER_S):
            if self:
                first_started()
                return
