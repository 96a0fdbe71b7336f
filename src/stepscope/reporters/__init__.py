"""A report in, text out: one file a format, known by the name of its file."""

import importlib
import pkgutil
from typing import Protocol

from stepscope.core.verdict import Report


class Render(Protocol):
    """The function `render` that every module of this package has."""

    def __call__(self, report: Report) -> str:
        """Return the whole report, ending with a newline."""


def formats() -> tuple[str, ...]:
    """Name the formats there are, without importing any."""
    return tuple(info.name for info in pkgutil.iter_modules(__path__) if not info.ispkg)


def reporter(name: str) -> Render:
    """Return the function that writes this format: one of `formats()`."""
    render: Render = importlib.import_module(f"{__name__}.{name}").render
    return render
