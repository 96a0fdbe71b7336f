"""Under MMEngine: freezing by a plan, and watching."""

from stepscope.adapters.mmengine.freezing import FreezeHook
from stepscope.adapters.mmengine.watching import WatchHook

__all__ = ["FreezeHook", "WatchHook"]
