"""Ways out of a process that leave no word behind: `os._exit`, and `os.exec...`."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

EXITS = ("_exit",)
REPLACEMENTS = ("execv", "execve")  # all other `os.exec...` end in one of the two


class WaysOut:
    """Sees to it that the report comes first where the program leaves in such a way.

    `leave` is called with what is wrong about it, "" where nothing is.
    """

    def __init__(self, leave: Callable[[str], NoReturn]) -> None:
        self._leave = leave
        self._process = os.getpid()  # forked children leave as they like
        self._before: dict[str, Callable[..., NoReturn]] = {}

    def watch(self) -> None:
        """Report first, from now on."""
        for name in EXITS + REPLACEMENTS:
            original = self._before[name] = getattr(os, name)
            setattr(os, name, self._around(name, original))

    def over(self) -> None:
        """Leave these ways as they were. Does nothing the second time."""
        while self._before:
            name, original = self._before.popitem()
            setattr(os, name, original)

    def _around(self, name: str, original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def observed(*args: Any, **kwargs: Any) -> NoReturn:
            if os.getpid() != self._process:
                original(*args, **kwargs)
            self.over()
            if name in REPLACEMENTS:
                self._leave(f"os.{name}, which puts another program in its place,")
            code = (*args, *kwargs.values())[0]
            self._leave(f"os._exit({code})" if code else "")

        return observed
