"""Under Lightning: freezing by a plan, and watching."""

from stepscope.adapters.lightning.fabric import watch_fabric
from stepscope.adapters.lightning.freezing import FreezeCallback
from stepscope.adapters.lightning.watching import WatchCallback

__all__ = ["FreezeCallback", "WatchCallback", "watch_fabric"]
