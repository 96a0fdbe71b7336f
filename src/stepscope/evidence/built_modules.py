"""The classes of modules that were built in the first steps, or before them."""

from typing import ClassVar

from stepscope.core import Evidence


class BuiltModules(Evidence, frozen=True, kw_only=True):
    """Class names, those of libraries too."""

    obtained_by: ClassVar[str] = "a module that is built"
    kinds: tuple[str, ...]
