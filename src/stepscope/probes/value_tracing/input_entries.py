"""Where the inputs of the model meet values with a gradient, and the gradients that come there."""

from collections.abc import Callable

import torch
from torch import Tensor

from stepscope.probes.values import INPUT, Value

_MOST = 60  # different names of inputs; the bits of others are not set
_MOST_WATCHED = 20  # values in one step that are computed from one input


class InputEntries:
    """Listens where a value of the model's inputs alone meets a value that has a gradient.

    The derivative by an input is a sum over these places of something times the gradient that
    arrives there. An input is listened for until one such gradient is not 0.
    """

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._pending: list[Value] = []
        self._counts: dict[int, int] = {}  # by bits, in this step
        self._settled = 0  # bits of the inputs of which nothing more need be known

    def bit(self, name: str) -> int:
        """Return the bit of an input."""
        if name not in self._bits:
            self._bits[name] = 1 << len(self._bits) if len(self._bits) < _MOST else 0
        return self._bits[name]

    def join(self, value: Value, tensor: Tensor) -> None:
        """See from which inputs a new value was computed, and listen where they enter."""
        entered = 0
        for parent in value.parents:
            value.inputs |= parent.inputs
            if parent.floating and not parent.requires_grad:
                entered |= parent.inputs
            if parent.operation == INPUT and parent.requires_grad:
                self._settled |= parent.inputs  # the program itself asks for its gradient
        if not value.floating:
            self._settled |= value.inputs  # used by a comparison: no derivative tells of it
        if not entered or not value.requires_grad or not entered & ~self._settled:
            return
        count = self._counts[entered] = self._counts.get(entered, 0) + 1
        node = tensor.grad_fn
        if node is None or count > _MOST_WATCHED:
            self._settled |= entered
            return
        value.entered = entered
        self._pending.append(value)
        node.register_prehook(_listening(value.arrived))

    def stepped(self) -> None:
        """Leave out, from the next step on, the inputs to which a gradient came."""
        for value in self._pending:
            if any(bool(size != 0) for size in value.arrived):
                self._settled |= value.entered
        self._pending.clear()
        self._counts.clear()


def _listening(arrived: list[Tensor]) -> Callable[[tuple[Tensor, ...]], None]:
    def listen(gradients: tuple[Tensor, ...]) -> None:
        with torch._C.DisableTorchFunction(), torch.no_grad():
            # None stands for an output that nothing came to. nan is not 0.
            arrived.extend(
                torch.linalg.vector_norm(gradient.detach(), float("inf"))
                for gradient in gradients
                if gradient is not None and gradient.numel()
            )

    return listen
