"""Closures that are handed to an optimizer's step, and compute its gradients in there."""

from collections.abc import Callable, Mapping
from typing import Any


def after_closure(
    args: tuple[Any, ...], kwargs: Mapping[str, Any], then: Callable[[], None]
) -> tuple[tuple[Any, ...], dict[str, Any]] | None:
    """Have `then` called after each call of the closure; None where a step is given no closure.

    `args` begins with the optimizer, as torch hands it to the global hooks of a step.
    """
    where = next((i for i, value in enumerate(args) if i and callable(value)), None)
    closure = kwargs.get("closure") if where is None else args[where]
    if closure is None:
        return None

    def observed() -> Any:
        result = closure()
        then()
        return result

    if where is None:
        return args, {**kwargs, "closure": observed}
    return (*args[:where], observed, *args[where + 1 :]), dict(kwargs)
