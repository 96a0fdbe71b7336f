"""The ways to treat one part of a model that a measurement compares."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.utils import _pytree as pytree

from stepscope.evidence.savings import Variant
from stepscope.freezing.frozen import Frozen
from stepscope.freezing.optimizers import forget
from stepscope.freezing.patterns import Names, meant
from stepscope.freezing.without_graph import outermost, without_graph


def apply(
    variant: Variant, model: nn.Module, patterns: Sequence[str], optimizer: Optimizer
) -> Frozen | None:
    """Treat the part so, whatever the program had meant for it; GIVEN leaves it.

    Raises:
        ValueError: a pattern matches nothing.
    """
    if variant is Variant.GIVEN:
        return None
    if variant is Variant.FULL:
        _train(model, patterns, optimizer, lr=None)
        return None
    if variant is Variant.ZERO:
        _train(model, patterns, optimizer, lr=0.0)
        return None
    frozen = Frozen(model, patterns, optimizer=optimizer)
    forget(optimizer)  # the state that waits for an undo is no memory of a run that began frozen
    if variant is Variant.WITHOUT_GRAPH:
        without_graph(frozen)
    if variant is Variant.CACHED:
        for module in outermost(frozen):
            vars(module)["forward"] = _Replayed(module.forward)
    return frozen


def _train(
    model: nn.Module, patterns: Sequence[str], optimizer: Optimizer, lr: float | None
) -> None:
    """Have the part trained by a group of its own; without `lr`, at the highest rate there is."""
    names = Names.of(model)
    part = {id(p): p for p in (names.parameters[n] for n in meant(names, patterns).parameters)}
    highest = max(float(group["lr"]) for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        group["params"] = [each for each in group["params"] if id(each) not in part]
    for parameter in part.values():
        parameter.requires_grad = True
    optimizer.add_param_group({"params": [*part.values()], "lr": highest if lr is None else lr})


class _Replayed:
    """Gives the output of the first call again, as a cache of features would.

    Its values are those of the first batch, and reading a cache costs more than nothing: the time
    that is measured with it is a lower bound. What something trainable feeds changes with every
    step, and cannot be cached.
    """

    def __init__(self, forward: Callable[..., Any]) -> None:
        self._forward = forward
        self._outputs: dict[tuple[tuple[int, ...], ...], Any] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        leaves = pytree.tree_leaves((args, kwargs))
        if torch.is_grad_enabled() and any(
            isinstance(each, Tensor) and each.requires_grad for each in leaves
        ):
            raise ValueError("something that trains feeds the part: its output cannot be cached")
        shapes = tuple(tuple(each.shape) for each in leaves if isinstance(each, Tensor))
        if shapes not in self._outputs:
            with torch.no_grad():
                self._outputs[shapes] = self._forward(*args, **kwargs)
        return self._outputs[shapes]
