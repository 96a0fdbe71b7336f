"""A loop of Fabric under watch."""

from collections.abc import Mapping
from typing import Unpack

from lightning.fabric import Fabric
from torch.nn import Module
from torch.optim import Optimizer

from stepscope.adapters.how import How
from stepscope.adapters.lightning.journals import journals_of
from stepscope.adapters.loop import Run
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.unwrapping import models_of, optimizers_of


def watch_fabric(
    fabric: Fabric,
    model: Module | Mapping[str, Module],
    *optimizers: Optimizer,
    **how: Unpack[How],
) -> Run:
    """Watch a loop as `stepscope.watch` does; findings go to the loggers of Fabric too.

    ```python
    model, optimizer = fabric.setup(model, optimizer)
    with watch_fabric(fabric, model, optimizer) as run:
        ...
    ```

    Model and optimizers are those that `fabric.setup` returns, or what was handed to it.

    Raises:
        ValueError: a keyword or stepscope.toml holds what stepscope does not know.
        TypeError: the model is no module, or an optimizer none.
    """
    return Run(
        models_of(model),
        optimizers_of(optimizers),
        how,
        ranks=Ranks.here(fabric.global_rank, fabric.world_size),
        journals=lambda told: journals_of(fabric.loggers, told),
    )
