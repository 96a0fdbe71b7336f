"""How much of the forward one part of a model takes, and whether something trainable feeds it."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.hooks import RemovableHandle

from stepscope.adapters.measuring.stopwatch import now


class Share:
    """Hooks the model and the outermost modules of the part, until it is closed."""

    def __init__(self, model: nn.Module, part: Sequence[nn.Module]) -> None:
        self.is_prefix = True
        self._took = {id(model): 0.0, **{id(module): 0.0 for module in part}}
        self._began: dict[int, float] = {}
        self._model = model
        self._handles: list[RemovableHandle] = []
        for module in (model, *part):
            self._handles.append(module.register_forward_pre_hook(self._before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(self._after))

    @property
    def value(self) -> float:
        """The part's share of the time that the model's forward took, from 0 to 1."""
        whole = self._took[id(self._model)]
        part = sum(took for key, took in self._took.items() if key != id(self._model))
        return min(1.0, part / whole) if whole else 0.0

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self._handles:
            handle.remove()

    def _before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        if module is not self._model and any(
            isinstance(each, Tensor) and each.requires_grad
            for each in pytree.tree_leaves((args, kwargs))
        ):
            self.is_prefix = False
        self._began[id(module)] = now()

    def _after(self, module: nn.Module, args: Any, output: Any) -> None:
        del args, output
        self._took[id(module)] += now() - self._began.pop(id(module))
