"""Copies of modules that can be run without touching the program's own."""

import copy
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from types import CellType, FunctionType, ModuleType
from typing import Any

import torch
from torch import Tensor, nn

_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called",
)  # fmt: skip
_OF_TORCH = frozenset(vars(nn.Module()))  # parameters, buffers, children and hooks
_DEPTH = 3  # levels of containers and objects below a module that are looked into beforehand
_OF_TRAINERS = frozenset(("lightning", "pytorch_lightning", "lightning_fabric"))
_SEMANTIC = "torch.nn.utils"  # weight_norm and its kin compute the weight in a hook


class CannotCopy(Exception):  # noqa: N818 - an answer, not an error
    """Its text is the reason."""


def copy_module(module: nn.Module) -> nn.Module:
    """Return a deep copy without the program's hooks.

    Whatever the module holds is copied with it: a forward may write to a queue or a meter.

    Raises:
        CannotCopy: running the copy could touch the original.
    """
    memo: dict[int, Any] = {}
    _prepare(module, memo, set())
    try:
        copied = copy.deepcopy(module, memo)
    except Exception as why:  # whatever the program's own classes raise
        reason = str(why).partition("\n")[0] or type(why).__name__
        raise CannotCopy(f"the module cannot be copied: {reason}") from why
    for child in {id(each): each for each in memo.values() if isinstance(each, nn.Module)}.values():
        for name in _HOOKS:
            hooks = child.__dict__.get(name, {})
            for key in [k for k, hook in hooks.items() if not _is_semantic(hook)]:
                del hooks[key]
    return copied


def _prepare(value: Any, memo: dict[int, Any], seen: set[int], depth: int = _DEPTH) -> None:
    """Enter in a deepcopy's memo what it could not copy itself, and see that the rest is safe."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, Tensor):
        if not value.is_leaf:  # kept from the forward that just ran; torch copies leaves only
            memo[id(value)] = value.detach().clone()
        return
    if isinstance(value, ModuleType):
        memo[id(value)] = value
        return
    reason = _why_not(value)
    if reason:
        raise CannotCopy(reason)
    if isinstance(value, nn.Module):
        for child in value.children():
            _prepare(child, memo, seen, depth)
    for each in _parts(value) if depth else ():
        _prepare(each, memo, seen, depth - 1)


def _why_not(value: Any) -> str:
    kind = type(value)
    if isinstance(value, nn.Module):
        if "forward" in value.__dict__:
            return "the forward of a module was replaced: a copy would call the original"
    elif kind.__module__.partition(".")[0] in _OF_TRAINERS and not isinstance(value, dict):
        return "the module holds its trainer: a copy would report to it"
    if isinstance(value, weakref.ReferenceType | FunctionType) and _reaches_out(value):
        return "the module holds a function or reference that reaches the original"
    if hasattr(kind, "__del__"):
        return f"a {kind.__name__} may end something for the original when a copy ends"
    return ""


def _parts(value: Any) -> Iterable[Any]:
    if isinstance(value, nn.Module):
        return [each for name, each in value.__dict__.items() if name not in _OF_TORCH]
    if isinstance(value, dict):
        return list(value.values())
    if isinstance(value, list | tuple | set | frozenset | deque):
        return list(value)
    if isinstance(value, Tensor | ModuleType | FunctionType | type):
        return ()
    held = getattr(value, "__dict__", None)
    return list(held.values()) if isinstance(held, dict) else ()


def _reaches_out(value: Any) -> bool:
    """Tell whether what is not copied, but kept as it is, leads to something that may change."""
    if isinstance(value, weakref.ReferenceType):
        return isinstance(value(), nn.Module)
    held = [_contents(cell) for cell in value.__closure__ or ()]
    stable = (type, FunctionType, ModuleType)
    return any(hasattr(each, "__dict__") and not isinstance(each, stable) for each in held)


def _contents(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # empty
        return None


def _is_semantic(hook: Any) -> bool:
    home: str = getattr(hook, "__module__", None) or type(hook).__module__
    return home.startswith(_SEMANTIC)


def with_tensors(value: Any, tensors: Iterator[torch.Tensor]) -> Any:
    """Return nested lists, tuples and dictionaries with their tensors replaced, in order."""
    if isinstance(value, Tensor):
        return next(tensors)
    if isinstance(value, dict):
        return type(value)({key: with_tensors(each, tensors) for key, each in value.items()})
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(with_tensors(each, tensors) for each in value))
    if isinstance(value, list | tuple):
        return type(value)(with_tensors(each, tensors) for each in value)
    return value
