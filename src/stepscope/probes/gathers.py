"""Watches collectives that bring the features of all processes together for a loss."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import distributed
from torch.nn import functional

from stepscope.core import Evidence, Place
from stepscope.evidence.losses import Gather, Gathers
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.loss_graph import skip_views
from stepscope.probes.probe import Probe
from stepscope.probes.similarity_graph import product_above
from stepscope.probes.source_lines import running_line

_COLLECTIVES = ("all_gather", "all_gather_into_tensor")


@dataclass(slots=True)
class _Seen:
    operation: str
    world_size: int
    at: Place
    rows: int  # of the process's own part
    feeds_loss: bool = False
    restored: bool = False


class GathersProbe(Probe):
    """Joins gathers of features that carry gradient with the contrastive losses they end in."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._lookout = Lookout(run, type(self).__name__)
        self._seen: list[_Seen] = []
        self._step: list[_Seen] = []
        if distributed.is_available():
            for name in _COLLECTIVES:
                run.patch(distributed, name, partial(self._around, name))
            run.patch(functional, "cross_entropy", self._around_loss)

    def _around(self, name: str, gather: Callable[..., Any]) -> Callable[..., Any]:
        def observed(out: Any, own: Any = None, *args: Any, **kwargs: Any) -> Any:
            given = kwargs.get("tensor", kwargs.get("input_tensor")) if own is None else own
            if (
                self._lookout.is_open()
                and torch.is_grad_enabled()
                and isinstance(given, torch.Tensor)
                and given.requires_grad
                and given.dim() == 2  # noqa: PLR2004 - rows of features
            ):
                with self._lookout.looking():
                    size = distributed.get_world_size()
                    self._step.append(_Seen(name, size, running_line(), given.shape[0]))
            return gather(out, *(() if own is None else (own,)), *args, **kwargs)

        return observed

    def _around_loss(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if (
                self._step
                and self._lookout.is_open()
                and args
                and isinstance(args[0], torch.Tensor)
            ):
                with self._lookout.looking():
                    self._join(args[0])
            return function(*args, **kwargs)

        return observed

    def _join(self, logits: torch.Tensor) -> None:
        if logits.dim() != 2 or (product := product_above(logits)) is None:  # noqa: PLR2004
            return
        for seen in self._step:
            if seen.rows * seen.world_size not in logits.shape:
                continue
            seen.feeds_loss = True
            for edge in product.edges:
                node = skip_views(edge)
                seen.restored |= node is not None and node.name().startswith("CatBackward")

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Keep the gathers of this step that feed a loss."""
        self._seen += [seen for seen in self._step if seen.feeds_loss]
        self._step.clear()

    def evidence(self) -> Iterator[Evidence]:
        """Give them."""
        if self._seen:
            yield Gathers(
                gathers=tuple(
                    Gather(
                        operation=seen.operation,
                        world_size=seen.world_size,
                        differentiable=False,  # the plain collectives never carry gradient
                        own_part_restored=seen.restored,
                        at=seen.at,
                    )
                    for seen in self._seen
                )
            )
