"""What a watched program starts, and what trains there: the other ranks of its run."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol


class Children(Protocol):
    """The processes that this one starts, watched as ranks of the run."""

    def __bool__(self) -> bool:
        """Tell whether any was started."""

    @property
    def is_waited_for(self) -> bool:
        """Python waits for them when this process ends."""

    def watch(
        self, run_folder: Callable[[], Path | None], first_started: Callable[[], None]
    ) -> None:
        """Watch each that is started from now on, once there is a folder."""

    def numbers(self) -> Iterable[int]:
        """Return their numbers."""

    def is_gone(self, number: int) -> bool:
        """Tell whether one of them has ended."""

    def over(self) -> None:
        """Watch no more of them."""


class Family:
    """All processes that the program starts, in whichever way."""

    def __init__(self, *kinds: Children) -> None:
        self._kinds = kinds

    def __bool__(self) -> bool:
        """Tell whether any was started."""
        return any(self._kinds)

    @property
    def is_waited_for(self) -> bool:
        """Python waits for some of them when this process ends."""
        return any(each.is_waited_for for each in self._kinds)

    def numbers(self) -> Iterable[int]:
        """Return their numbers."""
        return sorted({number for each in self._kinds for number in each.numbers()})

    def is_gone(self, number: int) -> bool:
        """Tell whether one of them has ended."""
        return all(each.is_gone(number) for each in self._kinds if number in each.numbers())

    def watch(
        self, run_folder: Callable[[], Path | None], first_started: Callable[[], None]
    ) -> None:
        """Watch each that is started from now on."""
        for each in self._kinds:
            each.watch(run_folder, first_started)

    def over(self) -> None:
        """Watch no more of them."""
        for each in self._kinds:
            each.over()
