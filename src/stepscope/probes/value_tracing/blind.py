"""Forwards in which nothing is followed, because following them would change what they compute."""

from typing import Any

from torch import nn

from stepscope.probes.value_tracing.arguments import tensors_in

# Where no gradient is asked for they take a fused kernel, but not under a torch-function mode.
_FUSED = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)


def is_blind(
    module: nn.Module, args: Any, kwargs: Any, *, outermost: bool, gradients: bool
) -> bool:
    """Tell a pass of evaluation, or a layer that would compute by another kernel if followed."""
    if module.training:
        return False
    if outermost and not gradients:
        return True
    if not isinstance(module, _FUSED):
        return False
    if not gradients:
        return True
    if any(parameter.requires_grad for parameter in module.parameters()):
        return False
    return not any(tensor.requires_grad for tensor in tensors_in((args, kwargs)))
