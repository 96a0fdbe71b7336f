"""A model to measure, made by a function of the user's."""

import importlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

Loss = Callable[[Any], Tensor]


def found(target: str) -> object:
    """Return what `package.module:function` names.

    Raises:
        ValueError: it names nothing.
    """
    name, _, function = target.partition(":")
    if not (name and function):
        raise ValueError(f"{target!r}: expected MODULE:FUNCTION")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        made: object = importlib.import_module(name)
        for part in function.split("."):
            made = getattr(made, part)
    except (ImportError, AttributeError) as why:
        raise ValueError(f"{target}: {why}") from why
    return made


def made(target: str) -> object:
    """Return what the function makes, or the module itself that is named.

    Raises:
        ValueError: it names nothing, or raises.
        TypeError: it names something that cannot be called.
    """
    named = found(target)
    if isinstance(named, nn.Module):
        return named
    if not callable(named):
        raise TypeError(f"{target} is {type(named).__name__}; expected a function")
    try:
        return named()
    except Exception as why:
        raise ValueError(f"{target} raised {type(why).__name__}: {why}") from why


def model_from(target: str) -> nn.Module:
    """Return the model that the function makes, alone or first of a tuple.

    Raises:
        ValueError, TypeError: see `made`; or it returns no module.
    """
    result = made(target)
    model = result[0] if isinstance(result, tuple) and result else result
    if not isinstance(model, nn.Module):
        raise TypeError(f"{target} returned {type(model).__name__}; expected a module")
    return model


def built(target: str, shape: tuple[int, ...]) -> tuple[nn.Module, tuple[Any, ...], Loss]:
    """Return a model, its inputs, and what makes a loss of its output.

    The function returns the model, or (model, inputs), or (model, inputs, loss function). Without
    inputs they are random numbers of `shape`; without a loss it is the mean square of all floating
    point outputs, or the sum of the losses that a dictionary of scalars holds.

    Raises:
        ValueError, TypeError: see `model_from`; or there are neither inputs nor a shape.
    """
    result = made(target)
    parts = result if isinstance(result, tuple) else (result,)
    model = parts[0] if parts else None
    if not isinstance(model, nn.Module):
        raise TypeError(f"{target} returned {type(model).__name__}; expected a module")
    if len(parts) > 1:
        inputs = parts[1] if isinstance(parts[1], tuple) else (parts[1],)
    elif shape:
        place = next((each.device for each in model.parameters()), None)
        inputs = (torch.randn(shape, device=place),)
    else:
        raise ValueError(f"{target} returns no inputs; say their shape: --input 8x3x224x224")
    return model, inputs, parts[2] if len(parts) > 2 else default_loss  # noqa: PLR2004


def default_loss(output: Any) -> Tensor:
    """Return a scalar that all floating point tensors of an output feed."""
    loss = output.get("loss") if isinstance(output, Mapping) else None
    if isinstance(loss, Tensor):  # as the models of Transformers return it
        return loss
    leaves = [
        each
        for each in pytree.tree_leaves(output)
        if isinstance(each, Tensor) and each.is_floating_point()
    ]
    if isinstance(output, Mapping) and all(each.ndim == 0 for each in leaves):
        return torch.stack(leaves).sum()
    return torch.stack([each.square().mean() for each in leaves]).sum()
