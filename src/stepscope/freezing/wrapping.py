"""What has to be frozen before it is spread over processes, or shares memory with what trains."""

from collections.abc import Mapping

from torch import distributed, nn


def inside_compiled(model: nn.Module) -> nn.Module:
    """Return the module that `torch.compile` has wrapped: compiling adds nothing to a name."""
    while (inner := model._modules.get("_orig_mod")) is not None:
        model = inner
    return model


def refuse_wrapped(model: nn.Module) -> None:
    """Refuse a model whose wrapper has counted the gradients it will wait for.

    `fully_shard` (FSDP2) looks at `requires_grad` when a gradient arrives, and is welcome.

    Raises:
        TypeError: the model is, or holds, a DistributedDataParallel or FullyShardedDataParallel.
    """
    if not distributed.is_available():
        return
    from torch.distributed.fsdp import FullyShardedDataParallel
    from torch.nn.parallel import DistributedDataParallel

    for name, module in model.named_modules():
        if isinstance(module, DistributedDataParallel | FullyShardedDataParallel):
            kind = type(module).__name__
            raise TypeError(
                f"{name or 'the model'} is wrapped in {kind} already, which goes on to expect a "
                "gradient of every parameter that required one when it was made; freeze the model "
                f"first, then make the optimizer, then wrap it in {kind}"
            )


def refuse_shared_memory(
    parameters: Mapping[str, nn.Parameter], frozen: Mapping[str, nn.Parameter]
) -> None:
    """Refuse a frozen tensor whose memory a trainable one would go on to change.

    Raises:
        ValueError: names both.
    """
    still = {id(parameter) for parameter in frozen.values()}
    storages = {pointer: name for name, each in frozen.items() if (pointer := _storage(each))}
    for name, parameter in parameters.items():
        other = storages.get(_storage(parameter))
        if other is not None and parameter.requires_grad and id(parameter) not in still:
            raise ValueError(
                f"{other} shares its memory with {name}, which stays trainable and would move it; "
                "freeze both, or give one of them a copy"
            )


def _storage(parameter: nn.Parameter) -> int:
    if nn.parameter.is_lazy(parameter) or parameter.is_meta or hasattr(parameter, "to_local"):
        return 0
    try:
        return parameter.untyped_storage().data_ptr()
    except (NotImplementedError, RuntimeError):  # a tensor subclass without memory of its own
        return 0
