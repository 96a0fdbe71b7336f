"""What lies inside of the wrappers that frameworks put around models and optimizers."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from torch.nn import Module
from torch.nn.parallel import DataParallel, DistributedDataParallel
from torch.optim import Optimizer

INNER_MODEL = ("_forward_module", "_orig_mod")  # of Fabric, and of `torch.compile`
INNER_OPTIMIZER = ("optimizer", "_optimizer")  # Accelerate, Fabric, MMEngine; Lightning


def models_of(model: Module | Mapping[str, Module]) -> dict[str, Module]:
    """Return models by the name that leads those of their parameters; "" for a single one.

    Raises:
        TypeError: it is no model, and no dictionary of models.
    """
    named = {"": model} if isinstance(model, Module) else model
    if not isinstance(named, Mapping) or not all(isinstance(m, Module) for m in named.values()):
        raise TypeError(
            f"model is {type(model).__name__}; expected a torch.nn.Module, or a dictionary of "
            "names and modules"
        )
    return {name: _inner(each) for name, each in named.items()}


def optimizers_of(optimizers: Iterable[object]) -> tuple[Optimizer, ...]:
    """Return the optimizers of torch themselves, each once.

    Raises:
        TypeError: one of them is no optimizer.
    """
    found = [inner for each in optimizers for inner in _optimizers_in(each)]
    return tuple({id(each): each for each in found}.values())


def _inner(model: Module) -> Module:
    while True:
        if isinstance(model, DataParallel | DistributedDataParallel):
            model = model.module
            continue
        inside = (model._modules.get(name) for name in INNER_MODEL)
        found = next((each for each in inside if each is not None), None)
        if found is None:
            return model
        model = found


def _optimizers_in(wrapped: Any) -> Iterator[Optimizer]:
    held = vars(wrapped) if hasattr(wrapped, "__dict__") else {}
    inner = next((held[name] for name in INNER_OPTIMIZER if name in held), None)
    if inner is not None:
        yield from _optimizers_in(inner)
    elif isinstance(wrapped, Optimizer):
        yield wrapped
    elif isinstance(wrapped, dict | list | tuple):  # several of a GAN
        for each in wrapped.values() if isinstance(wrapped, dict) else wrapped:
            yield from _optimizers_in(each)
    else:
        raise TypeError(f"optimizer is {type(wrapped).__name__}; expected a torch.optim.Optimizer")
