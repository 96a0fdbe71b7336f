"""Runs the frozen part of a model without building a graph."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from stepscope.freezing.frozen import Frozen


class WithoutGraph:
    """Stands in the place of a frozen module's `forward`, as an attribute of that one module.

    An input that requires a gradient comes from something that trains: the module then runs as
    it would without this, since `no_grad` would cut that gradient.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.former: Callable[..., Any] = module.forward
        self.is_own = "forward" in vars(module)  # an attribute of the module, not of its class

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module."""
        if torch.is_grad_enabled() and any(
            isinstance(each, Tensor) and each.requires_grad
            for each in pytree.tree_leaves((args, kwargs))
        ):
            return self.former(*args, **kwargs)
        with torch.no_grad():
            return self.former(*args, **kwargs)


def without_graph(frozen: Frozen) -> Callable[[], None]:
    """Run the outermost frozen modules under `no_grad`; return the function that undoes it.

    Autograd stores nothing for a part of which nothing requires a gradient, so this saves neither
    time nor memory over the freeze itself (`stepscope freeze --measure` shows it). It is a safety
    net: what becomes trainable inside by mistake gets no gradient and no memory.
    """
    standing = [WithoutGraph(module) for module in outermost(frozen)]
    for each in standing:
        vars(each.module)["forward"] = each

    def undo() -> None:
        for each in standing:
            if vars(each.module).get("forward") is each:
                del vars(each.module)["forward"]
                if each.is_own:
                    vars(each.module)["forward"] = each.former

    return undo


def outermost(frozen: Frozen) -> list[nn.Module]:
    """Return the modules that are frozen as a whole, and lie in no other such module."""
    whole = set(frozen.modules)
    return [
        frozen.model.get_submodule(name)
        for name in frozen.modules
        if not any(above in whole for above in _above(name))
    ]


def _above(name: str) -> list[str]:
    parts = name.split(".")
    return ["", *(".".join(parts[:depth]) for depth in range(1, len(parts)))] if name else []
