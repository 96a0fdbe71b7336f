"""Tells, with evidence and a source line, when a training run is not doing what it should."""

import importlib
from typing import TYPE_CHECKING, Any

from stepscope.version import __version__

if TYPE_CHECKING:  # the command line answers without torch, which these need
    from stepscope.adapters.loop import watch
    from stepscope.freezing import Frozen, freeze
    from stepscope.probes.configurations.handed import watch_config

__all__ = ["Frozen", "__version__", "freeze", "watch", "watch_config"]
_HOMES = {
    "Frozen": "freezing",
    "freeze": "freezing",
    "watch": "adapters.loop",
    "watch_config": "probes.configurations.handed",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
