"""Ways out of a process that leave no word behind: `os._exit`, and `os.exec...`."""

import os
from collections.abc import Callable
from typing import Any, NoReturn

from stepscope.probes.putting_back import put_back

EXITS = ("_exit",)
REPLACEMENTS = ("execv", "execve")  # all other `os.exec...` end in one of the two


class WaysOut:
    """Sees to it that the report comes first where the program leaves in such a way.

    `leave` is called with what is wrong about it, "" where nothing is, and with the exit code,
    None where another program goes on in this process. If it returns, the program leaves.
    """

    def __init__(self, leave: Callable[[str, int | None], None]) -> None:
        self._leave = leave
        self._process = os.getpid()  # forked children leave as they like
        self._ours: dict[str, tuple[Callable[..., NoReturn], Callable[..., NoReturn]]] = {}
        self._is_over = False

    def watch(self) -> None:
        """Report first, from now on."""
        for name in EXITS + REPLACEMENTS:
            original = getattr(os, name)
            observed = self._around(name, original)
            self._ours[name] = original, observed
            setattr(os, name, observed)

    def over(self) -> None:
        """Leave these ways as the program has them. Does nothing the second time."""
        self._is_over = True
        while self._ours:
            name, (original, observed) = self._ours.popitem()
            put_back(os, name, observed, original)

    def _around(self, name: str, original: Callable[..., NoReturn]) -> Callable[..., NoReturn]:
        def observed(*args: Any, **kwargs: Any) -> NoReturn:
            if self._is_over or os.getpid() != self._process:
                original(*args, **kwargs)
            self.over()
            if name in REPLACEMENTS:
                self._leave(f"os.{name}, which puts another program in its place,", None)
            else:
                code = (*args, *kwargs.values())[0]
                self._leave(f"os._exit({code})" if code else "", code)
            original(*args, **kwargs)

        return observed
