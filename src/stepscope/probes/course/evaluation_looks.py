"""All that is looked at in an evaluation, kept until it is known whether it was one."""

from collections.abc import Collection
from typing import Any

import torch

from stepscope.core import Place
from stepscope.probes.course.evaluated_calls import EvaluatedCalls
from stepscope.probes.course.evaluated_draws import EvaluatedDraws
from stepscope.probes.course.evaluated_state import EvaluatedState
from stepscope.probes.course.held_out import HeldOut
from stepscope.probes.course.notes import Notes
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout


class EvaluationLooks:
    """What the model holds and draws, what it returns, and the data that it is given."""

    def __init__(self, run: LiveRun, notes: Notes, lookout: Lookout) -> None:
        self._run = run
        self._lookout = lookout
        self._state = EvaluatedState(run, notes)
        self._draws = EvaluatedDraws(run, notes, lookout)
        self._calls = EvaluatedCalls(run, notes, lookout)
        self._held_out = HeldOut(run, notes)

    def batch_came(self, iterator: Any, batch: object) -> None:
        """Take in a batch of a data set that is not known to feed steps."""
        if self._held_out.is_due(iterator):
            with self._lookout.looking():
                self._held_out.came(iterator, batch, self._run.step)
                self._calls.pass_began()

    def model_called(self, module: torch.nn.Module, at: Place) -> bool:
        """Follow the first forward of a trained module; tell whether to `compare` at the second."""
        self._draws.follow(module, at)
        self._calls.follow(module, at)
        return self._state.remember(module, at)

    def compare(self) -> None:
        """The second forward begins."""
        self._state.compare()

    def stop(self) -> None:
        """Training goes on: follow no forward any longer."""
        self._draws.stop()
        self._calls.stop()

    def forget(self) -> None:
        """There was no evaluation."""
        self._state.forget()
        self._draws.forget()
        self._calls.forget()
        self._held_out.forget()

    def settle(self) -> None:
        """There was one, and it is over."""
        self._state.tell()
        self._draws.tell()
        self._calls.tell()
        self._held_out.settle()

    def tell_data(self, training: Collection[int]) -> None:
        """Tell what data it was given, a step later: that of `training` feeds the steps."""
        self._held_out.tell(training)

    def hand_on(self, *, wait: bool = False) -> None:
        """Tell of what devices have answered."""
        self._state.hand_on(wait=wait)
        self._calls.hand_on(wait=wait)
        self._held_out.hand_on(wait=wait)
