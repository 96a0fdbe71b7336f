"""What is frozen, what trains and what the optimizers hold, by identity, before it begins."""

from collections.abc import Sequence

from torch import nn
from torch.optim import Optimizer

from stepscope.evidence.freezing import Before
from stepscope.evidence.intent import Intent, matches
from stepscope.freezing.frozen import Frozen
from stepscope.freezing.proof.tensors import Held, bits, count


def before(
    frozen: Frozen, held: Sequence[Held], optimizers: Sequence[Optimizer], intent: Intent
) -> Before:
    """Compare the frozen part with the rest of its model, with the optimizers and the intent."""
    names = _names(frozen.model)
    parameters = {id(p): p for p in frozen.model.parameters()}
    frozen_ids = {id(each.tensor) for each in held if not each.is_buffer}
    trainable = {key: p for key, p in parameters.items() if p.requires_grad}
    optimized = {
        id(p): p for made in optimizers for group in made.param_groups for p in group["params"]
    }
    meant_frozen = {key for key in names if _is_meant(names[key], intent.frozen)}
    meant_trainable = {key for key in names if _is_meant(names[key], intent.trainable)}

    def named(ids: set[int]) -> tuple[str, ...]:
        return tuple(names[key][0] for key in names if key in ids)

    return Before(
        frozen=count(parameters[key] for key in parameters if key in frozen_ids),
        trainable=count(trainable.values()),
        buffers=count(t for each in held if each.is_buffer and (t := each.tensor) is not None),
        optimized=count(optimized.values()),
        strangers=count(p for key, p in optimized.items() if key not in parameters),
        requiring=named(frozen_ids & trainable.keys()),
        in_optimizer=named(frozen_ids & optimized.keys()),
        not_in_optimizer=named(trainable.keys() - optimized.keys()) if optimizers else (),
        declared_frozen=named(meant_frozen & trainable.keys()),
        declared_trainable=named(meant_trainable - trainable.keys()),
        unreadable=tuple(
            each.name
            for each, number in zip(held, bits([each.tensor for each in held]), strict=True)
            if number is None
        ),
    )


def _names(model: nn.Module) -> dict[int, list[str]]:
    """Return all names of each parameter, in the order of the model."""
    names: dict[int, list[str]] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    return names


def _is_meant(names: list[str], patterns: tuple[str, ...]) -> bool:
    return any(matches(name, patterns) for name in names)
