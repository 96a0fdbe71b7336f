"""Which ranks have come to a run that the program above them has begun."""

import contextlib
import os
from pathlib import Path

import psutil

from stepscope.adapters.company.exchange import Exchange

HERE = "here-"  # a file for each rank: the process that has its place, and when that began
SAME_S = 10.0  # between two readings of when a process began: the system's clock is adjusted


class Arrivals:
    """Each rank has one place, and holds it for as long as its process lives."""

    def __init__(self, exchange: Exchange) -> None:
        self._folder = exchange.path

    def take(self, rank: int) -> bool:
        """Take the place of a rank; tell whether it was free.

        It is not where a rank has started a program that inherits its environment, and trains too.

        Raises:
            OSError: nothing can be written there.
        """
        place, me = self._place(rank), psutil.Process()
        draft = self._folder / f"{HERE}{me.pid}.part"
        draft.write_text(f"{me.pid} {me.create_time()}")
        try:
            os.link(draft, place)
        except FileExistsError:
            if not self.is_gone(rank):
                return False
            draft.replace(place)  # the rank was started again
        finally:
            draft.unlink(missing_ok=True)
        return True

    def others(self) -> list[int]:
        """Return the ranks that have come so far, without this process."""
        names: list[str] = []
        with contextlib.suppress(FileNotFoundError):  # the report is written, and all is removed
            names = [each.name for each in self._folder.iterdir()]
        numbers = (name.removeprefix(HERE) for name in names if name.startswith(HERE))
        ranks = sorted(int(number) for number in numbers if number.isdigit())
        return [rank for rank in ranks if self._holder(rank)[0] != os.getpid()]

    def is_gone(self, rank: int) -> bool:
        """Tell whether no living process has the place of a rank."""
        number, began = self._holder(rank)
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(number)
            is_it = abs(process.create_time() - began) < SAME_S
            return not is_it or process.status() == psutil.STATUS_ZOMBIE
        return True

    def _place(self, rank: int) -> Path:
        return self._folder / f"{HERE}{rank}"

    def _holder(self, rank: int) -> tuple[int, float]:
        try:
            number, began = self._place(rank).read_text().split()
        except FileNotFoundError:
            return 0, 0.0  # no process has this number
        return int(number), float(began)
