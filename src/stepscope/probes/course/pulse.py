"""A few hooks for the whole of a run: what samplers are told of."""

import contextlib
import os
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any, Self

import torch
from torch.optim import Optimizer
from torch.optim import optimizer as optimizer_hooks

from stepscope.evidence.course.line import Happening, Line
from stepscope.probes.being_traced import is_being_traced
from stepscope.probes.closures import after_closure
from stepscope.probes.compilation import has_compiled
from stepscope.probes.course.calls import OutermostCalls
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.pace import Pace
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.observation import Observation, if_alive
from stepscope.probes.telling import Telling, moments_of

MOMENTS = moments_of(Sampler)
WEARY = 256  # backwards without a step: more than any accumulation, and nothing to sample


class Pulse:
    """Watches a program until it is closed. A context manager.

    Between sampled steps an optimizer's step costs two calls, and a backward one. A step of the
    run begins when an optimizer steps that has stepped in the last one already: those that take
    turns share a step, and those that come one after the other do not. `stepped` is called after
    each, outside of all hooks' looking; what it raises is the program's to deal with.
    """

    def __init__(
        self,
        samplers: Iterable[Callable[[LiveRun, Notes], Sampler]],
        *,
        line: Callable[[Line], None],
        every: int | None = None,
        stepped: Callable[[int], None] = lambda _: None,
        compiled: Callable[[], None] = lambda: None,
        window: Callable[[], Observation | None] = lambda: None,
        heard: Callable[[Happening], None] = lambda _: None,
        weary: Callable[[], None] = lambda: None,
    ) -> None:
        """`window` tells which observation is under way: its hooks lie above those of here.

        `weary` is called where gradients are computed again and again, and no step is taken.
        """
        self.run = LiveRun(0)
        self.notes = Notes(line, heard)
        self._samplers = tuple(samplers)
        self._telling = Telling(self.run, Sampler, MOMENTS)
        self._pace = Pace(every)
        self._stepped = stepped
        self._compiled, self._window = compiled, window
        self._calls = OutermostCalls(
            self._is_out_of_sight,
            returned=partial(self._tell, "model_returned"),
            raised=partial(self._tell, "module_raised"),
            recovered=partial(self._tell, "module_recovered"),
        )
        self._turn = 0  # of all optimizers
        self._looked_s = 0.0  # in this step
        self._backwards = 0  # that were sampled since the last step
        self._weary = weary
        self._watching = False
        self._thread = threading.get_ident()

    @property
    def step_s(self) -> float:
        """Average time of a step, of the last ones more than of earlier ones."""
        return self._pace.step_s

    def __enter__(self) -> Self:
        self._watching = True
        self.run.compiled = has_compiled()
        for make in self._samplers:
            with self._keeping_faults():
                self._telling.attach(make(self.run, self.notes))
        self.run.patch(torch.autograd, "backward", self._around_backward, is_inert=True)
        self.run.patch(torch, "compile", self._around_compile, is_inert=True)
        self.run.patch(torch.export, "export", self._around_export, is_inert=True)
        self.run.before_export.append(self._calls.turn_off)
        self.run.patch(Optimizer, "__init__", self._around_optimizer, is_inert=True)
        for handle in (
            optimizer_hooks.register_optimizer_step_pre_hook(self._before_step),
            optimizer_hooks.register_optimizer_step_post_hook(self._after_step),
        ):
            self.run.on_end(handle.remove)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=if_alive(self._forked))
        if not self.run.compiled:
            self._calls.turn_on()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let samplers note what is left, and take all hooks away. Nothing the second time."""
        if not self._watching:
            return
        self._watching = False
        self._telling.tell("ended")
        with self._keeping_faults():
            self.notes.end(self.run.step)
        self._calls.turn_off()
        self.run.unpatch()
        self._telling.gather(lambda _: iter(()))

    def _forked(self) -> None:
        """Leave a forked child, such as a worker of a DataLoader, alone."""
        if self._watching:
            self._watching = False
            self.run.looking = True
            self._calls.turn_off()
            self.run.unpatch()

    def _is_elsewhere(self) -> bool:
        """Tell, at the least price, whether this is no work of the program in its own thread."""
        return not self._watching or self.run.looking or threading.get_ident() != self._thread

    def _is_ours(self) -> bool:
        return (
            self._is_elsewhere()
            or ((window := self._window()) is not None and window.run.looking)
            or is_being_traced()
        )

    def _is_out_of_sight(self) -> bool:
        """Tell whether a call of a module is a second run of what a backward needs, or ours."""
        return self.run.in_backward or self._is_ours()

    def _tell(self, moment: str, *facts: Any) -> None:
        began = time.perf_counter()
        self._telling.tell(moment, *facts)
        self._looked_s += time.perf_counter() - began

    def _around_backward(self, backward: Callable[..., None]) -> Callable[..., None]:
        def observed(tensors: Any, *args: Any, **kwargs: Any) -> None:
            if self.run.in_backward or self._is_elsewhere():
                backward(tensors, *args, **kwargs)
                return
            self.run.backwards += 1
            if (self.notes.is_sampled or self.notes.awaits_backward) and not self._is_ours():
                self._tell_backward(tensors)
            self.run.in_backward = True
            try:
                backward(tensors, *args, **kwargs)
            finally:
                self.run.in_backward = False

        return observed

    def _tell_backward(self, tensors: Any) -> None:
        if not self.notes.is_sampled:
            self._tell("awaited_backward")
            return
        self._backwards += 1
        if self._backwards == WEARY:
            self._rest()
        roots = (tensors,) if isinstance(tensors, torch.Tensor) else tuple(tensors)
        self._tell("backward_called", roots)

    def _rest(self) -> None:
        """Look at nothing until the next step: this program may never take one."""
        self.notes.is_sampled = False
        self._calls.turn_off()
        self._weary()

    def _around_compile(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        def observed(model: Any = None, *args: Any, **kwargs: Any) -> Any:
            if self._watching and not self.run.compiled:
                before = torch.nn.Module._call_impl
                self.run.compiled = True
                self._compiled()
                self._calls.turn_off()  # with hooks on all modules it would be compiled anew
                if getattr(model, "__func__", None) is before:  # as `Module.compile` hands it over
                    model = model.__self__._call_impl
            return compiled(model, *args, **kwargs)

        return observed

    def _around_export(self, export: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            for take_hooks_away in self.run.before_export:
                take_hooks_away()
            return export(*args, **kwargs)

        return observed

    def _around_optimizer(self, make: Callable[..., None]) -> Callable[..., None]:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            make(optimizer, *args, **kwargs)
            if self._watching:
                self.run.optimizer_made(optimizer)

        return observed

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Global hook: torch passes `(optimizer, *args)` as `args`, and takes changed ones back."""
        window = self._window()
        if (window is None and not self.notes.is_sampled) or self._is_ours():
            return None
        self.run.optimizer_made(optimizer)
        changed = self._ready(optimizer, args, kwargs) if self.notes.is_sampled else None
        if window is not None:
            changed = window.before_step(optimizer, *(changed or (args, kwargs))) or changed
        return changed

    def _ready(self, optimizer: Optimizer, args: Any, kwargs: Any) -> Any:
        """Tell that the gradients are there: with a closure after its first call."""
        is_told = False

        def closed() -> None:
            nonlocal is_told
            if not is_told and not self._is_ours():
                is_told = True
                self._tell("gradients_ready", optimizer)

        changed = after_closure(args, kwargs, closed)
        if changed is None:
            self._tell("gradients_ready", optimizer)
        return changed

    def _after_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:
        if torch.compiler.is_compiling() or self._is_elsewhere():
            return
        if (window := self._window()) is not None or self.notes.is_sampled:
            if self._is_ours():
                return
            if window is not None:
                window.after_step(optimizer, args, kwargs)
            if self.notes.is_sampled:
                self._tell("step_returned", optimizer)
        made = self.run.optimizer_made(optimizer)
        made.steps += 1
        self.run.optimizer_steps += 1
        is_over = made.turn == self._turn or not self._has_stepped_in_turn()
        self._turn += is_over
        made.turn = self._turn
        if is_over:
            self._step_over()
            if self._watching:
                self._stepped(self.run.step)

    def _has_stepped_in_turn(self) -> bool:
        """Tell whether any that still lives has stepped in the present turn."""
        made = (self.run.optimizer_made(each) for each in self.run.optimizers)
        return any(each.turn == self._turn for each in made)

    def _step_over(self) -> None:
        began = time.perf_counter()
        step = self.run.step
        self._backwards = 0
        if self.notes.is_sampled or self.notes.is_stirred:
            self.notes.is_stirred = False
            self._telling.tell("step_over")
        self.run.step = step + 1
        if self.notes.are_waiting:
            self._close_notes(step + 1)
        else:
            self.notes.step = step + 1
        now = time.perf_counter()
        self.notes.is_sampled = self._pace.stepped(step, now, self._looked_s + now - began)
        self._looked_s = 0.0
        if self.notes.is_sampled and self._watching and not self.run.compiled:
            self._calls.turn_on()
        elif self._calls.are_heard:
            self._calls.turn_off()

    def _close_notes(self, step: int) -> None:
        try:
            self.notes.close(step)
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the program
            self.run.faults.append(traceback.format_exc())
            self.close()

    @contextlib.contextmanager
    def _keeping_faults(self) -> Iterator[None]:
        """Keep a fault of ours from the program."""
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it is, it is not the run's
            self.run.faults.append(traceback.format_exc())
