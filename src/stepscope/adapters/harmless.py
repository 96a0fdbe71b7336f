"""Callbacks that cannot stop a training."""

import functools
import traceback
from collections.abc import Callable
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., None])


def harmless(method: Method) -> Method:
    """Keep what a method of a callback raises from the training: it ends the watching.

    The callback has its watch as `_attached`.
    """

    @functools.wraps(method)
    def guarded(callback: Any, *args: Any, **kwargs: Any) -> None:
        try:
            method(callback, *args, **kwargs)
        except Exception:  # noqa: BLE001 - whatever it is, it is not the run's
            callback._attached.failed(traceback.format_exc())

    return cast("Method", guarded)
