"""Takes frozen parameters out of an optimizer, and puts them back."""

import weakref
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import LBFGS, Optimizer


@dataclass(slots=True)
class _Taken:
    """What freezes have taken out of one optimizer; several may overlap, and end in any order."""

    groups: list[dict[str, Any]] = field(default_factory=list)  # as the optimizer held them
    orders: list[list[Tensor]] = field(default_factory=list)  # of each, what it held before
    absent: set[int] = field(default_factory=set)  # ids of those that were taken out
    states: dict[Tensor, Any] = field(default_factory=dict)  # moved to the CPU


_taken: weakref.WeakKeyDictionary[Optimizer, _Taken] = weakref.WeakKeyDictionary()


def prune(optimizer: Optimizer, frozen: Iterable[nn.Parameter]) -> None:
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
    taken = _taken.setdefault(optimizer, _Taken())
    _meet(taken, optimizer)
    for group, order in zip(taken.groups, taken.orders, strict=True):
        known = {id(each) for each in order}
        order += [each for each in group["params"] if id(each) not in known]
        taken.absent |= {id(each) for each in group["params"]} & leaving
        group["params"] = [each for each in group["params"] if id(each) not in leaving]
    for order in taken.orders:
        for each in order:
            if id(each) in leaving and each in optimizer.state:
                taken.states[each] = _moved(optimizer.state.pop(each), torch.device("cpu"))


def put_back(optimizer: Optimizer, is_free: Callable[[Tensor], bool]) -> None:
    """Put back what was taken out and is free: in the order of each group, with its state.

    Parameters that the program has added stand last; one that another group holds stays there. A
    group that the program has dropped comes back at the end, if something is to return to it.
    """
    taken = _taken.get(optimizer)
    if taken is None:
        return
    held = {id(each) for group in optimizer.param_groups for each in group["params"]}
    _meet(taken, optimizer)
    present = {id(group) for group in optimizer.param_groups}
    for group, order in zip(taken.groups, taken.orders, strict=True):
        here = {id(each) for each in group["params"]}
        coming = {id(e) for e in order if id(e) in taken.absent and is_free(e)} - held
        known = {id(each) for each in order}
        group["params"] = [
            *(each for each in order if id(each) in here | coming),
            *(each for each in group["params"] if id(each) not in known),
        ]
        if coming and id(group) not in present:
            optimizer.param_groups.append(group)
    free = {id(each) for order in taken.orders for each in order if is_free(each)}
    for each in [each for each in taken.states if id(each) in free]:
        state = _moved(taken.states.pop(each), each.device)
        if each not in optimizer.state:
            optimizer.state[each] = state
    taken.absent -= free
    if not taken.absent:
        del _taken[optimizer]


def forget(optimizer: Optimizer) -> None:
    """Keep nothing of what was taken out: no undo will ask for it."""
    _taken.pop(optimizer, None)


def _meet(taken: _Taken, optimizer: Optimizer) -> None:
    """Know the groups that there are by now: the program may have added and dropped some."""
    known = {id(group) for group in taken.groups}
    if not any(id(group) in known for group in optimizer.param_groups):
        count = len(optimizer.param_groups)  # `load_state_dict` has put others in their places
        taken.groups[:count] = optimizer.param_groups
    known = {id(group) for group in taken.groups}
    new = [group for group in optimizer.param_groups if id(group) not in known]
    taken.groups += new
    taken.orders += [[] for _ in taken.groups[len(taken.orders) :]]


def _moved(state: Any, device: torch.device) -> Any:
    """Move the tensors of a parameter's state; step counters that live on the CPU stay there."""
    if isinstance(state, Tensor):
        return state if state.ndim == 0 else state.to(device)
    if isinstance(state, dict):
        return {key: _moved(value, device) for key, value in state.items()}
    return state
