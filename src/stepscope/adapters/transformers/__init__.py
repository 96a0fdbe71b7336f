"""Under Transformers: freezing by a plan, and watching."""

from stepscope.adapters.transformers.freezing import FreezeCallback
from stepscope.adapters.transformers.watching import WatchCallback

__all__ = ["FreezeCallback", "WatchCallback"]
