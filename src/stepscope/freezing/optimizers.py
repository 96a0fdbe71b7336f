"""Takes frozen parameters out of an optimizer, and puts them back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer


@dataclass(frozen=True, slots=True)
class Pruned:
    """What was taken out of one optimizer."""

    optimizer: Optimizer
    groups: tuple[tuple[Tensor, ...], ...]  # of each group, its parameters before
    left: tuple[tuple[Tensor, ...], ...]  # and after
    states: dict[Tensor, Any]  # moved to the CPU


def prune(optimizer: Optimizer, frozen: Iterable[nn.Parameter]) -> Pruned:
    """Take parameters out, with their state. Groups stay, empty or not: schedulers count them.

    Raises:
        TypeError: the optimizer keeps one state for all parameters together (LBFGS).
    """
    if isinstance(optimizer, LBFGS):
        raise TypeError(
            "LBFGS keeps one history over all its parameters, none of which can be taken out; "
            "freeze first, and make it of `parameter_groups()`"
        )
    leaving = {id(parameter) for parameter in frozen}
    before = tuple(tuple(group["params"]) for group in optimizer.param_groups)
    for group in optimizer.param_groups:
        group["params"] = [each for each in group["params"] if id(each) not in leaving]
    after = tuple(tuple(group["params"]) for group in optimizer.param_groups)
    states = {
        each: _moved(optimizer.state.pop(each), torch.device("cpu"))
        for group in before
        for each in group
        if id(each) in leaving and each in optimizer.state
    }
    return Pruned(optimizer, before, after, states)


def put_back(pruned: Pruned) -> None:
    """Undo `prune`: the order of each group, and the state, bit by bit.

    Where the program has changed a group since, the parameters go to its end; one that is held
    again already stays where it is.
    """
    groups = pruned.optimizer.param_groups
    held = {id(each) for group in groups for each in group["params"]}
    for group, before, left in zip(groups, pruned.groups, pruned.left, strict=False):
        if tuple(map(id, group["params"])) == tuple(map(id, left)):
            stayed = {id(each) for each in left}
            group["params"] = [e for e in before if id(e) in stayed or id(e) not in held]
        else:
            group["params"] += [each for each in before if id(each) not in held]
    for parameter, state in pruned.states.items():
        if parameter not in pruned.optimizer.state:
            pruned.optimizer.state[parameter] = _moved(state, parameter.device)


def _moved(state: Any, device: torch.device) -> Any:
    """Move the tensors of a parameter's state; step counters that live on the CPU stay there."""
    if isinstance(state, Tensor):
        return state if state.ndim == 0 else state.to(device)
    if isinstance(state, dict):
        return {key: _moved(value, device) for key, value in state.items()}
    return state
