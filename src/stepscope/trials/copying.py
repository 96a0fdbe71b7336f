"""Copies of modules that can be run without touching the program's own."""

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

_HOOKS = (
    "_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks",
    "_forward_hooks_with_kwargs", "_forward_pre_hooks_with_kwargs", "_forward_hooks_always_called",
)  # fmt: skip
_COPIED = frozenset(("torch", "numpy", "random", "builtins", "collections"))
_OF_TRAINERS = frozenset(("lightning", "pytorch_lightning", "lightning_fabric"))
_SEMANTIC = "torch.nn.utils"  # weight_norm and its kin compute the weight in a hook


class CannotCopy(Exception):  # noqa: N818 - an answer, not an error
    """Its text is the reason."""


def copy_module(module: nn.Module) -> nn.Module:
    """Return a deep copy without the program's hooks; plain objects of other libraries are shared.

    Raises:
        CannotCopy: running the copy could touch the original.
    """
    shared: dict[int, Any] = {}
    for child in module.modules():
        if "forward" in child.__dict__:
            raise CannotCopy("the forward of a module was replaced: a copy would call the original")
        for value in child.__dict__.values():
            _share(value, shared)
    try:
        copied = copy.deepcopy(module, shared)
    except (RuntimeError, TypeError, NotImplementedError) as why:
        raise CannotCopy(f"the module cannot be copied: {str(why).splitlines()[0]}") from why
    for child in copied.modules():
        for name in _HOOKS:
            hooks = child.__dict__.get(name, {})
            for key in [k for k, hook in hooks.items() if not _is_semantic(hook)]:
                del hooks[key]
    return copied


def _share(value: Any, shared: dict[int, Any]) -> None:
    """Enter in a deepcopy's memo what is not to be copied."""
    if isinstance(value, nn.Module):
        return
    if isinstance(value, Tensor):
        if not value.is_leaf:  # kept from the forward that just ran; torch copies leaves only
            shared[id(value)] = value.detach().clone()
        return
    home = type(value).__module__.partition(".")[0]
    if home in _OF_TRAINERS:
        raise CannotCopy("the module holds its trainer: a copy would report to it")
    if home not in _COPIED:
        shared[id(value)] = value


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
