"""Global hooks in, moments out: puts probes around a program and takes them away again."""

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from typing import Any, Self

import torch
from torch.optim import Optimizer
from torch.optim import optimizer as optimizer_hooks

from stepscope.core import Evidence
from stepscope.probes.being_traced import is_being_traced
from stepscope.probes.closures import after_closure
from stepscope.probes.live_run import LiveRun
from stepscope.probes.observer import OBSERVER
from stepscope.probes.probe import Probe
from stepscope.probes.telling import Telling, moments_of

MOMENTS = moments_of(Probe, but=("evidence",))
PATIENCE = 6  # rounds of the busiest optimizer, while another has not yet had its steps


class Observation:
    """Watches a program until it has taken `steps` optimizer steps. A context manager.

    Nothing that the program does is changed. A fault of a probe takes that probe out and is kept
    in `run.faults`. Once the last step is over and the program begins something new, all hooks
    are taken away and `completed` is called from inside the program: it may raise to end it.
    """

    def __init__(
        self,
        probes: Iterable[Callable[[LiveRun], Probe]],
        *,
        steps: int = 3,
        completed: Callable[[], None] = lambda: None,
        is_window: bool = False,
    ) -> None:
        """`is_window`: one of several of a run; who opens it hands on the optimizers' steps."""
        self.run = LiveRun(steps)
        self.evidence: list[Evidence] = []  # filled when the recording ends
        self.watching = False
        self._makers = tuple(probes)
        self._completed = completed
        self._is_window = is_window
        self.is_beginning = True  # of the run; a later window is told otherwise
        self._telling = Telling(self.run, Probe, MOMENTS)
        self._tell = self._telling.tell
        self._open = False  # the work that leads to the next step has begun
        self._full = False  # all steps are taken
        self._taken: weakref.WeakKeyDictionary[Optimizer, int] = weakref.WeakKeyDictionary()
        self._thread = threading.get_ident()
        self._process = os.getpid()

    def __enter__(self) -> Self:
        self.watching = True
        if not self._is_window:
            OBSERVER.present = self
        for make in self._makers:
            self._telling.attach(make(self.run))
        self.run.patch(torch.nn.Module, "_call_impl", self._around_call, is_inert=True)
        self.run.patch(torch.autograd, "backward", self._around_backward, is_inert=True)
        self.run.patch(Optimizer, "__init__", self._around_optimizer, is_inert=True)
        if not self._is_window:
            for handle in (
                optimizer_hooks.register_optimizer_step_pre_hook(self.before_step),
                optimizer_hooks.register_optimizer_step_post_hook(self.after_step),
            ):
                self.run.on_end(handle.remove)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=if_alive(self._forked))
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Take all hooks away and gather the evidence. Does nothing the second time."""
        if not self.watching:
            return
        self.watching = False
        if OBSERVER.present is self:
            OBSERVER.present = None
        self.run.unpatch()
        self.evidence += self._telling.gather(lambda probe: probe.evidence())

    @property
    def is_full(self) -> bool:
        """Whether all steps are taken; it ends when something new begins."""
        return self._full

    def _forked(self) -> None:
        """Leave a forked child, such as a worker of a DataLoader, unobserved."""
        if self.watching:
            self.watching = False
            self.run.looking = True
            self.run.unpatch()

    def _is_ours(self) -> bool:
        """Tell whether what happens now is not to be observed."""
        return (
            not self.watching
            or self.run.looking
            or threading.get_ident() != self._thread
            or os.getpid() != self._process
            or is_being_traced()
        )

    def _begin(self) -> None:
        """Something new begins in the program: end a full recording, or open the next step."""
        if self._full:
            self.close()
            self._completed()
        elif not self._open:
            self._open = True
            self.run.names.grow_stale(settle=bool(self.run.optimizers))
            self._tell("step_opened")

    def _around_call(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def observed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if self._is_ours():
                return call(module, *args, **kwargs)
            running = self.run.modules
            if not running:
                self.run.names.called(module)
                if self._full or _leads_to_a_step(module):
                    self._begin()
            else:
                self.run.names.called_within(module)
            running.append(module)
            try:
                self._tell("module_called", module, args, kwargs)
                output = call(module, *args, **kwargs)
                self._tell("module_returned", module, args, kwargs, output)
            except BaseException as exception:
                self._tell("module_raised", module, exception)
                raise
            finally:
                running.pop()
            return output

        return observed

    def _around_backward(self, backward: Callable[..., None]) -> Callable[..., None]:
        def observed(tensors: Any, *args: Any, **kwargs: Any) -> None:
            if self._is_ours() or self.run.in_backward:
                backward(tensors, *args, **kwargs)
                return
            self._begin()
            roots = (tensors,) if isinstance(tensors, torch.Tensor) else tuple(tensors)
            self._tell("backward_called", roots)
            self.run.in_backward = True
            try:
                backward(tensors, *args, **kwargs)
            finally:
                self.run.in_backward = False
            self._tell("backward_returned", roots)

        return observed

    def _around_optimizer(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            make(optimizer, *args, **kwargs)
            if self.watching:
                self.run.optimizer_made(optimizer)

        return observed

    def before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Global hook: torch passes `(optimizer, *args)` as `args`, and takes changed ones back."""
        if self._is_ours():
            return None
        self._begin()
        if not self.watching:
            return None
        self.run.optimizer_made(optimizer)
        self._tell("step_called", optimizer)

        def closed() -> None:
            if not self._is_ours():
                self._tell("gradients_ready", optimizer)

        changed = after_closure(args, kwargs, closed)
        if changed is None:
            self._tell("gradients_ready", optimizer)
        return changed

    def after_step(self, optimizer: Optimizer, _args: Any, _kwargs: Any) -> None:
        """Global hook, the same way."""
        if self._is_ours():
            return
        self._tell("step_returned", optimizer)
        self._taken[optimizer] = self._taken.get(optimizer, 0) + 1
        self.run.step += 1
        self._open = False
        taken = [self._taken.get(each, 0) for each in self.run.optimizers]
        asked = self.run.steps_asked
        # Where an optimizer is made for each batch, none has its steps, and all together do.
        together = self.run.step >= asked * PATIENCE * len(taken)
        self._full = min(taken) >= asked or max(taken) >= asked * PATIENCE or together


def if_alive(method: Callable[[], None]) -> Callable[[], None]:
    """Call a method while its object lives: what is registered for forks stays for good."""
    reference = weakref.WeakMethod(method)

    def call() -> None:
        if (alive := reference()) is not None:
            alive()

    return call


def _leads_to_a_step(module: torch.nn.Module) -> bool:
    """Tell a forward of training from one of evaluation, before it has run."""
    return torch.is_grad_enabled() or module.training
