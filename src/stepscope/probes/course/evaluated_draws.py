"""Whether a forward of an evaluation draws random numbers, and which module does."""

import time
from typing import Any

import torch
from msgspec.structs import replace
from torch.nn.modules.module import register_module_forward_hook, register_module_forward_pre_hook

from stepscope.core import Place
from stepscope.evidence.course.random_draws import EvaluationDrew, EvaluationKeptStill
from stepscope.probes.course.functional_dropout import dropouts_without_mode
from stepscope.probes.course.generator_states import State, digest, moved, torch_state, whole_state
from stepscope.probes.course.notes import Notes
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout

SHARE = 0.002  # of the time of the run, for all such forwards but the first ones
FIRST = 2  # to be compared with each other


class EvaluatedDraws:
    """Reads the states of generators around each module of one forward."""

    def __init__(self, run: LiveRun, notes: Notes, lookout: Lookout) -> None:
        self._run, self._notes, self._lookout = run, notes, lookout
        self._hooks: list[Any] = []
        self._above: list[torch.nn.Module] = []  # whose forward is running, outermost first
        self._state: State = {}  # when it began
        self._at = Place()
        self._drew: EvaluationDrew | None = None
        self._kept_still: EvaluationKeptStill | None = None
        self._has_told_stillness = False
        self._followed = 0
        self._spent_s = 0.0

    def follow(self, module: torch.nn.Module, at: Place) -> None:
        """Follow the forward that begins, where that can be afforded."""
        self.forget()
        is_affordable = self._followed < FIRST or self._spent_s <= SHARE * self._notes.seconds
        if module.training or not is_affordable:
            return
        if torch.cuda.is_initialized() and torch.cuda.is_current_stream_capturing():
            return  # a graph counts for itself
        began = time.perf_counter()
        self._followed += 1
        self._at, self._above, self._state = at, [module], whole_state()
        self._hooks = [
            register_module_forward_pre_hook(self._enters),
            register_module_forward_hook(self._returns),
        ]
        self._spent_s += time.perf_counter() - began

    def stop(self) -> None:
        """Follow it no longer."""
        for hook in self._hooks:
            hook.remove()
        self._hooks, self._above, self._state = [], [], {}

    def forget(self) -> None:
        """It was no evaluation."""
        self.stop()
        self._drew = self._kept_still = None

    def tell(self) -> None:
        """It was an evaluation."""
        if self._drew is not None:
            self._notes.happen(self._drew)
        elif self._kept_still is not None and not self._has_told_stillness:
            self._has_told_stillness = True
            self._notes.happen(self._kept_still)
        self.forget()

    def _enters(self, module: torch.nn.Module, args: Any) -> None:  # noqa: ARG002
        if self._above and self._lookout.is_open():
            with self._lookout.looking():
                self._compare(self._above[-1])
                self._above.append(module)

    def _returns(self, module: torch.nn.Module, args: Any, output: Any) -> None:  # noqa: ARG002
        if module not in self._above or not self._lookout.is_open():
            return
        with self._lookout.looking():
            while self._above.pop() is not module:
                pass  # its forward raised, and somebody caught it
            self._compare(module)
            if self._hooks and not self._above:
                self._end(module)

    def _compare(self, module: torch.nn.Module) -> None:
        """Whatever was drawn since the last look was drawn by the forward of this module."""
        if self._drew is not None or not self._hooks:
            return
        began = time.perf_counter()
        if generators := moved(self._state, torch_state()):
            if module.training:  # put there on purpose, as for Monte Carlo dropout
                self.forget()
                return
            kind: type = type(module)
            drops, at = next(iter(dropouts_without_mode(kind)), ("", Place()))
            drew = self._drawn_by(module, generators[0])
            self._drew = replace(drew, drops=drops, dropped_at=at)
        self._spent_s += time.perf_counter() - began

    def _end(self, module: torch.nn.Module) -> None:
        began = time.perf_counter()
        state = whole_state()
        generators = moved(self._state, state)
        self.stop()
        if self._drew is None and generators:
            self._drew = self._drawn_by(module, generators[0])
        if self._drew is not None:
            self._drew = replace(self._drew, left=digest(state))
        else:
            self._kept_still = EvaluationKeptStill(evaluated=self._run.step, at=self._at)
        self._spent_s += time.perf_counter() - began

    def _drawn_by(self, module: torch.nn.Module, generator: str) -> EvaluationDrew:
        return EvaluationDrew(
            module=self._run.names.module(module),
            kind=type(module).__name__,
            generator=generator,
            left=0,
            evaluated=self._run.step,
            at=self._at,
        )
