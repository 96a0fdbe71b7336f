"""How much of the forward one part of a model takes, and whether something trainable feeds it."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.hooks import RemovableHandle

from stepscope.adapters.measuring.stopwatch import now


class Share:
    """Hooks all modules of a model, of which some are the part, until it is closed.

    The forward is what the outermost calls take: that of the model, or those of its modules where
    its own `forward` is not used (Lightning's `training_step`). Forwards that a backward runs
    again, of checkpointed modules, do not count.
    """

    def __init__(self, model: nn.Module, part: Sequence[nn.Module]) -> None:
        self.is_prefix = True
        self._part = {id(module) for module in part}
        self._whole_took = self._part_took = 0.0
        self._calls: list[tuple[int, float]] = []  # that are going on: the module, and since when
        self._handles: list[RemovableHandle] = []
        for module in model.modules():
            self._handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._after))

    @property
    def value(self) -> float:
        """The part's share of the time that the forward took, from 0 to 1."""
        return min(1.0, self._part_took / self._whole_took) if self._whole_took else 0.0

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if _is_in_backward():
            return
        is_part = id(module) in self._part
        if is_part and any(
            isinstance(each, Tensor) and each.requires_grad
            for each in pytree.tree_leaves((args, kwargs))
        ):
            self.is_prefix = False
        is_timed = is_part or not self._calls
        self._calls.append((id(module), now() if is_timed else 0.0))

    def _after(self, module: nn.Module, args: Any, output: Any) -> None:
        del args, output
        if _is_in_backward():
            return
        while self._calls:
            called, began = self._calls.pop()
            if called == id(module):
                break  # those above it were left by an exception
        else:
            return
        took = now() - began if began else 0.0
        if id(module) in self._part:
            self._part_took += took
        if not self._calls:
            self._whole_took += took


def _is_in_backward() -> bool:
    return bool(torch._C._current_graph_task_id() != -1)
