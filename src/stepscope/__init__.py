"""Tells, with evidence and a source line, when a training run is not doing what it should."""

from typing import TYPE_CHECKING, Any

from stepscope.version import __version__

if TYPE_CHECKING:  # the command line answers without torch, which freezing needs
    from stepscope.freezing import Frozen, freeze

__all__ = ["Frozen", "__version__", "freeze"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from stepscope import freezing

    return getattr(freezing, name)
