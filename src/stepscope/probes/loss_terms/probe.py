"""Watches every backward, and takes its total apart."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional

from stepscope.core import Evidence, Place
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.loss_calls import FUNCTIONS
from stepscope.probes.loss_graph import below
from stepscope.probes.loss_terms.decomposition import Decomposition, Part, Spot, spot, spot_of
from stepscope.probes.loss_terms.gradient_shares import shares
from stepscope.probes.loss_terms.joining import Dangling, Seen, Terms
from stepscope.probes.loss_terms.named_losses import (
    in_attributes,
    in_callers,
    in_output,
    is_total,
)
from stepscope.probes.loss_terms.step_seen import Name, Setting, StepSeen
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line
from stepscope.probes.values import value_of

_ATTEMPTS = 3  # totals on which gradient shares may be measured, until it succeeds


class LossTermsProbe(Probe):
    """Names come from what the program hands out and holds; weights and sums from the graph."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._lookout = Lookout(run, type(self).__name__)
        self._step = StepSeen()
        self._terms = Terms()
        self._inside = False
        self._total = Place()  # the line whose backward is looked at
        self._attempts = _ATTEMPTS
        for name in FUNCTIONS:
            run.patch(functional, name, partial(self._around_loss, name))
        run.patch(torch.amp.GradScaler, "scale", self._around_scale)
        run.patch(Tensor, "register_hook", self._around_hooks)
        run.patch(saved_tensors_hooks, "__init__", self._around_hooks)

    def _around_loss(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if self._inside or not self._lookout.is_open() or not torch.is_grad_enabled():
                return function(*args, **kwargs)
            self._inside = True
            try:
                value = function(*args, **kwargs)
            finally:
                self._inside = False
            if isinstance(value, Tensor) and value.numel() == 1 and value.grad_fn is not None:
                with self._lookout.looking():
                    here = spot(value.grad_fn, value.output_nr)
                    self._step.functions[here] = (name, running_line())
                    self._step.numbers[here] = value.detach().clone()
            return value

        return observed

    def _around_scale(self, scale: Callable[..., Any]) -> Callable[..., Any]:
        def observed(scaler: Any, outputs: Any) -> Any:
            scaled = scale(scaler, outputs)
            if isinstance(scaled, Tensor) and scaled is not outputs and self._lookout.is_open():
                with self._lookout.looking():
                    if (here := spot_of(scaled)) is not None:
                        self._step.scaled.add(here)
            return scaled

        return observed

    def _around_hooks(self, register: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if self._lookout.is_open():
                self._step.foreign = True
            return register(*args, **kwargs)

        return observed

    def module_returned(
        self,
        module: nn.Module,
        args: Any,  # noqa: ARG002
        kwargs: Any,  # noqa: ARG002
        output: Any,
    ) -> None:
        """Learn names from what the module hands out and keeps."""
        if self.run.in_backward:
            return
        attributes = any("loss" in name for name in module.__dict__)
        for name, tensor in (*in_output(output), *(in_attributes(module) if attributes else ())):
            self._name(name, tensor, keyed=True)
            here = spot_of(tensor)
            if here is not None and "loss" in name.lower() and module.training:
                self._step.handed_out.setdefault(
                    here,
                    Dangling(
                        name,
                        self.run.names.module(module),
                        tensor.detach().clone(),
                        self._line(tensor),
                    ),
                )

    def _name(self, name: str, tensor: Tensor, *, keyed: bool) -> None:
        step = self._step
        here = spot_of(tensor)
        named = Name(name, keyed)
        if keyed and "loss" in name.lower():
            self._terms.read.setdefault(name, None)
        if here is not None:
            known = step.names.get(here)
            if known is None or is_total(known.name) or (keyed and not known.keyed):
                step.names[here] = named
            step.numbers.setdefault(here, tensor.detach().clone())
        elif (value := value_of(tensor)) is not None:
            step.constants.setdefault(id(value), named)
            step.kept.append(value)

    def _line(self, tensor: Tensor) -> Place:
        value = value_of(tensor)
        return value.place if value is not None else Place()

    def backward_called(self, roots: tuple[Tensor, ...]) -> None:
        """Take each root apart, with the graph whole."""
        for (name, tensor), keyed in in_callers():
            self._name(name, tensor, keyed=keyed)
        self._mark_reached(roots)
        self._total = running_line(PROGRAM)
        for root in roots:
            if root.numel() == 1 and root.grad_fn is not None:
                self._take_apart(root)

    def _mark_reached(self, roots: tuple[Tensor, ...]) -> None:
        names = {here: each.name for here, each in self._step.names.items()}
        waiting = set(names)
        if not waiting:
            return
        for node in below(root.grad_fn for root in roots if root.grad_fn is not None):
            for output in range(len(getattr(node, "_input_metadata", ()))):
                here = spot(node, output)
                if here in waiting:
                    waiting.discard(here)
                    self._terms.reached.setdefault(names[here], None)
                    if here in self._step.handed_out:
                        self._step.handed_out[here].reached = True
            if not waiting:
                return

    def _take_apart(self, root: Tensor) -> None:
        step = self._step
        taken = Decomposition(root, self._name_at, step.scaled)
        setting = Setting(
            total=self._total,
            trainable=set(self.run.held),
            alive={id(part.value) for part in taken.parts if part.node is not None},
            name_of=self.run.names.tensor,
        )
        found = [step.describe(part, setting) for part in taken.parts]
        seen = [each for each in found if each is not None]
        self._fill_in(root, taken, seen)
        self._share(taken.parts, seen)
        step.backwards.append((seen, taken.top))

    def _name_at(self, here: Spot) -> tuple[str, bool] | None:
        found = self._step.names.get(here)
        return None if found is None or is_total(found.name) else (found.name, found.keyed)

    def _fill_in(self, root: Tensor, taken: Decomposition, seen: list[Seen]) -> None:
        """Compute the one value that is not known from the total."""
        unknown = [each for each in seen if each.number is None]
        if len(unknown) != 1 or len(seen) != len(taken.parts):
            return
        rest = root.detach().float().reshape(()) / taken.scaled_by
        for each in seen:
            if not each.weight:
                return
            if each.number is not None:
                rest = rest - each.weight * each.number.to(rest).reshape(())
        unknown[0].number = rest / (unknown[0].weight or 1.0)

    def _share(self, parts: list[Part], seen: list[Seen]) -> None:
        carrying = [part for part in parts if part.node is not None]
        terms = [each for each in seen if each.differentiable]
        weighted = [(each, part) for each, part in zip(terms, carrying, strict=True) if part.weight]
        if len(weighted) < 2 or not self._attempts or self._step.foreign:  # noqa: PLR2004 - a sum
            return
        self._attempts -= 1
        if self._is_hooked():
            return
        found = shares([(p.node, p.output, p.weight) for _, p in weighted if p.weight])
        if found is not None:
            self._attempts = 0
            parameter = self.run.names.tensor(found[1])
            for (each, _), share in zip(weighted, found[0], strict=True):
                each.share, each.share_on = share, parameter

    def _is_hooked(self) -> bool:
        """Tell whether a backward would run hooks of modules, or of a sharding wrapper."""
        if nn.modules.module._global_backward_hooks or nn.modules.module._global_backward_pre_hooks:
            return True
        return any(
            module._backward_hooks
            or module._backward_pre_hooks
            or "FullySharded" in type(module).__name__
            for root in self.run.names.roots()
            for module in root.modules()
        )

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Join what the backwards of the step have shown."""
        step, self._step = self._step, StepSeen()
        self._terms.add(self.run.step, step.backwards, step.handed_out.values())

    def evidence(self) -> Iterator[Evidence]:
        """Give the terms of all steps."""
        if self._terms.backwards:
            yield self._terms.evidence()
