"""Puts the tracer around the program and tells it what goes on."""

import inspect
import weakref
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from stepscope.core import Evidence
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.value_tracing.arguments import named_tensors, tensors_in
from stepscope.probes.value_tracing.blind import is_blind
from stepscope.probes.value_tracing.mode import Following
from stepscope.probes.value_tracing.tracer import Tracer
from stepscope.probes.value_tracing.writes import Writes
from stepscope.probes.values import INPUT, Value, escapes, forget_values, inputs, is_floating

_COLLECTIVES = {  # torch.distributed passes by the mode; positions of the result and the source
    "all_gather": (0, 1),
    "all_gather_into_tensor": (0, 1),
    "all_reduce": (0, 0),
    "broadcast": (0, 0),
    "reduce_scatter_tensor": (0, 1),
}
_MOST_INPUTS = 10_000
_NOT_FLOATING = Value("integers")
_WRAPPERS = (nn.DataParallel, nn.parallel.DistributedDataParallel)


class ValueTracing(Probe):
    """Follows the values of the program's tensors while the recording lasts."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        forget_values()
        self._writes = Writes(run)
        self._called = 0
        self.tracer = tracer = Tracer(run, self._writes)
        self._writes.value = tracer.value
        self._mode = mode = Following(tracer.seen)
        self._begun = False
        self._lifted = False  # the mode is off the stack because of us
        self._blind = 0  # depth of the module that nothing is followed in
        run.patch(Tensor, "backward", _aside(mode))
        run.patch(torch.autograd, "backward", _aside(mode))
        # What goes before the first of these costs nothing: preparing data may take many calls.
        run.patch(torch.optim.Optimizer, "__init__", self._beginning)
        run.patch(nn.Module, "load_state_dict", self._beginning)
        run.patch(nn.Module, "_load_from_state_dict", self._beginning)
        run.patch(torch.inference_mode, "__enter__", _entering(tracer))
        run.patch(torch.inference_mode, "__exit__", _leaving(tracer))
        self._patch_functions()
        if torch.distributed.is_available():
            for name, positions in _COLLECTIVES.items():
                around = _collective(tracer, name, *positions)
                run.patch(torch.distributed, name, around)
        run.on_end(mode.take_off)

    def _patch_functions(self) -> None:
        """Watch custom autograd functions from outside: nothing is followed within."""
        tracer = self.tracer

        def around(apply: Callable[..., Any]) -> Callable[..., Any]:
            def observed(cls: Any, *args: Any, **kwargs: Any) -> Any:
                if tracer.paused or tracer.run.looking or not tracer.is_ours():
                    return apply(cls, *args, **kwargs)
                checkpoint = cls.__name__ == "CheckpointFunction"
                inside: dict[int, Any] = {}
                if checkpoint:
                    tracer.inside.append(inside)
                tracer.paused += 1
                try:
                    output = apply(cls, *args, **kwargs)
                finally:
                    tracer.paused -= 1
                    if checkpoint:
                        tracer.inside.remove(inside)
                if not (tracer.run.in_backward or tracer.evaluating):
                    extra = tuple(inside.values())
                    name = f"Function:{cls.__name__}"
                    tracer.guarded(
                        lambda: tracer.made(name, args, kwargs, output, opaque=True, extra=extra)
                    )
                return output

            return observed

        self.run.patch(torch.autograd.Function, "apply", around)

    def _beginning(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if self.tracer.is_ours():
                self._begin()
            return call(*args, **kwargs)

        return observed

    def _begin(self) -> None:
        """Follow, from the first of an optimizer, a load, a forward and a backward on."""
        if not self._begun and not self.run.in_backward:
            self._begun = True
            self.tracer.region.found(on=torch.is_grad_enabled() or self.run.grad_enabled)
            self._mode.put_on()

    def _look_away(self) -> None:
        self._lifted = self._mode.lift() or self._lifted

    def _look_again(self) -> None:
        if self._lifted:
            self._lifted = False
            self._mode.put_on()

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Make the floating-point inputs of an outermost module values of their own."""
        self._called += 1
        depth = len(self.run.modules)
        tracer = self.tracer
        tracer.calls = (*tracer.calls[: depth - 1], (self._called, weakref.ref(module)))
        if tracer.evaluating or self.run.in_backward:
            return
        if depth == 1:
            if tracer.stepping:
                self._stepped()  # a closure computes the loss once more
            self._begin()
        if is_blind(module, args, kwargs, outermost=depth == 1, gradients=self.run.grad_enabled):
            tracer.evaluating = True
            self._blind = depth
            self._look_away()
        elif depth == 1 and next(module.parameters(), None) is not None:  # no augmentation
            for name, tensor in named_tensors(_by_name(module, args, kwargs)):
                known = tracer.value(tensor) if is_floating(tensor) else _NOT_FLOATING
                if known is None or known.operation == INPUT:  # a batch may come again
                    self._make_input(name, tensor, module)

    def _make_input(self, name: str, tensor: Tensor, module: nn.Module) -> None:
        value = self.tracer.set_input(name, tensor)
        value.owner = weakref.ref(module)
        if len(inputs()) < _MOST_INPUTS:
            inputs().append(value)

    def module_returned(self, module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
        """End what was not followed."""
        tracer = self.tracer
        depth = len(self.run.modules)
        tracer.calls = tracer.calls[: depth - 1]
        if not tracer.evaluating or depth != self._blind:
            return
        self._seeing()
        parameters = tuple(module.parameters())
        if tracer.inside:
            tracer.used_inside(parameters)
        if not tracer.paused:
            # One value for the whole pass: should its result enter a loss, its line is known.
            used = tuple(v for p in parameters if (v := tracer.value(p)) is not None)
            name = f"{type(module).__name__}()"
            tracer.made(name, args, kwargs, output, opaque=True, extra=used)

    def module_raised(self, module: nn.Module, exception: BaseException) -> None:  # noqa: ARG002
        """End what was not followed, and failed."""
        depth = len(self.run.modules)
        self.tracer.calls = self.tracer.calls[: depth - 1]
        if self.tracer.evaluating and depth == self._blind:
            self._seeing()

    def _seeing(self) -> None:
        self.tracer.evaluating = False
        self._look_again()

    def step_opened(self) -> None:
        """Begin a step."""
        self._begin()
        self._writes.begun = True
        if self.tracer.stepping:
            self._stepped()
        self.tracer.step_opened()

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Look away while the optimizer works."""
        self.tracer.stepping = True
        self._look_away()

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Look again; what was kept for this step is done with."""
        self._stepped()
        self.tracer.entries.stepped()
        escapes().clear()
        inputs().clear()

    def _stepped(self) -> None:
        self.tracer.stepping = False
        self.tracer.region.found(on=self.run.grad_enabled)
        self._look_again()

    def evidence(self) -> Iterator[Evidence]:
        """Say what wrote into parameters."""
        yield self._writes.evidence()
        self.tracer.forget()
        forget_values()


def _by_name(module: nn.Module, args: Any, kwargs: Any) -> dict[str, Any]:
    """Arguments of a forward by the names that its signature gives them."""
    while isinstance(module, _WRAPPERS):
        module = module.module
    try:
        bound = inspect.signature(module.forward).bind(*args, **kwargs)
    except (TypeError, ValueError):  # the program's own fault, or no signature
        return {**{f"argument {i}": value for i, value in enumerate(args)}, **kwargs}
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        kind = bound.signature.parameters[name].kind
        if kind is inspect.Parameter.VAR_KEYWORD:
            named.update(value)
        else:
            named[name] = value
    return named


def _aside(mode: Following) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def around(backward: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            with mode.aside():
                return backward(*args, **kwargs)

        return observed

    return around


def _entering(tracer: Tracer) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def around(enter: Callable[..., Any]) -> Callable[..., Any]:
        def observed(context: Any) -> Any:
            result = enter(context)
            if tracer.is_ours():
                tracer.region.turned(on=not context.mode)
            return result

        return observed

    return around


def _leaving(tracer: Tracer) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def around(leave: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any) -> Any:
            result = leave(*args)
            if tracer.is_ours():
                tracer.region.left(on=torch.is_grad_enabled())
            return result

        return observed

    return around


def _collective(
    tracer: Tracer, name: str, result: int, source: int
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def around(call: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            output = call(*args, **kwargs)
            run = tracer.run
            follows = not (run.looking or run.in_backward or tracer.paused or tracer.evaluating)
            given = [*args, *kwargs.values()]
            if follows and not tracer.stepping and len(given) > source:
                made = tensors_in(given[result : result + 1])
                called = f"distributed.{name}"
                tracer.guarded(
                    lambda: tracer.made(called, (given[source],), {}, made, in_place=True)
                )
            return output

        return observed

    return around
