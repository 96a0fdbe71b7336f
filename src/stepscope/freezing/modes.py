"""Keeps modules in evaluation mode, whatever `train()` is called above them."""

from collections.abc import Iterable
from typing import Any

from torch import nn

# BatchNorm of every kind, SyncBatchNorm and InstanceNorm: those that keep running statistics.
NORMALISATION = (nn.modules.batchnorm._NormBase,)


class StaysInEvaluation:
    """Stands in the place of a module's `train`, as an attribute of that one module.

    It is pickled and deep-copied with its module, and then belongs to the copy.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.holders = 1  # freezes that hold the module
        self.was_training = module.training
        self.former: Any = vars(module).get("train")  # the program's own, or None

    def __call__(self, mode: bool = True) -> nn.Module:  # noqa: FBT001, FBT002 - as nn.Module.train
        """Hand the mode on to the children, and leave the module itself in evaluation mode."""
        if self.former is None:
            type(self.module).train(self.module, mode)
        else:
            self.former(mode)
        self.module.training = False
        return self.module


def hold(module: nn.Module) -> None:
    """Put a module into evaluation mode, and keep it there."""
    holding = vars(module).get("train")
    if isinstance(holding, StaysInEvaluation):
        holding.holders += 1
    else:
        vars(module)["train"] = StaysInEvaluation(module)
    module.training = False


def release(module: nn.Module) -> None:
    """Put back what `hold` found, once every holder has let go."""
    holding = vars(module).get("train")
    if not isinstance(holding, StaysInEvaluation):
        return  # the program has put its own in its place
    holding.holders -= 1
    if holding.holders:
        return
    if holding.former is None:
        del vars(module)["train"]
    else:
        vars(module)["train"] = holding.former
    module.training = holding.was_training


def is_held(module: nn.Module) -> bool:
    """Tell whether a module is kept in evaluation mode."""
    return isinstance(vars(module).get("train"), StaysInEvaluation)


def whole(
    modules: Iterable[tuple[str, nn.Module]], frozen: Iterable[nn.Parameter], named: frozenset[str]
) -> dict[str, nn.Module]:
    """Return the modules that are frozen as a whole, by name.

    Such a module was named itself, or all parameters at and below it are frozen and there are
    some, or it lies below such a module.
    """
    tensors = {id(parameter) for parameter in frozen}
    found: dict[str, nn.Module] = {}
    for name, module in modules:  # parents come before their children
        above = name.rpartition(".")[0]
        own = [id(parameter) for parameter in module.parameters()]
        if tensors.issuperset(own) and (own or name in named or (name and above in found)):
            found[name] = module
    return found
