"""Evaluations over the whole of a run, and what they leave behind."""

import sys
import weakref
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import torch
from msgspec.structs import replace
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.optim import optimizer as optimizer_hooks
from torch.utils.data import dataloader

from stepscope.core import Place
from stepscope.evidence.course.evaluations import BackToTraining, Evaluated, PassBelongs
from stepscope.probes.course.data_sets import DataSets
from stepscope.probes.course.evaluation_looks import EvaluationLooks
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sample_keys import SampleKeys
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.staying_asleep import StayingAsleep
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.modules import sensitive
from stepscope.probes.source_lines import PROGRAM, running_line

STREAK = 3  # steps on end with the same pass: it belongs to the step
PATIENCE = 20  # passes that belonged to their step, before such are sought less often
REST = 64  # steps without seeking, twice as many each time
VAIN = 4  # times that a line or a call speaks for an evaluation, and there is none
NOT_OWN = ("torch.", "stepscope.probes.", "stepscope.trials.", "stepscope.watching.")
OTHERS = 8  # modules that nothing trains, and that run before the one that is evaluated


@dataclass(slots=True)
class _Pass:
    """The first forward between two steps that may be one of an evaluation."""

    facts: Evaluated
    data: frozenset[int]  # data sets whose batches came since the last step, not known to train
    trained_on: bool  # a batch of a training loader came since the last step
    settled: bool = False  # told as soon as the step is over


class EvaluationSampler(Sampler):
    """Seeks a forward that may be an evaluation where something speaks for one.

    That is a batch from an unknown data set, a call of `eval()`, or a region without gradients
    that the program enters: the first module called after it is looked at. A pass on training
    batches without `eval()` belongs to the step, as does one that comes with every step.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._asleep = StayingAsleep(run, notes, self._lookout)
        self._looks = EvaluationLooks(run, notes, self._lookout)
        self._keys = SampleKeys()
        self._data = DataSets()
        self._pass: _Pass | None = None
        self._later: list[tuple[Evaluated, frozenset[int]]] = []  # with the data sets of each
        self._tentative: _Pass | None = None  # a forward with gradients, on an unknown data set
        self._to_look: weakref.WeakSet[Optimizer] = weakref.WeakSet()  # after an evaluation
        self._has_to_look = False
        self._trained: weakref.WeakKeyDictionary[torch.nn.Module, tuple[int, bool]] = (
            weakref.WeakKeyDictionary()
        )
        self._hook: Any = None
        self._sign: Hashable = None  # what spoke for an evaluation; None: batches of other data
        self._vain: dict[Hashable, int] = {}  # how often a sign was followed by none
        self._again: weakref.ref[torch.nn.Module] | None = None  # looked at before its next forward
        self._put = False  # eval() was called since the last step
        self._passed_over: weakref.WeakSet[torch.nn.Module] = weakref.WeakSet()
        self._others = 0
        self._streaks: dict[Place, tuple[int, int]] = {}  # last step, and how many on end
        self._idle, self._rest, self._resting_until = 0, REST, 0
        run.patch(dataloader._BaseDataLoaderIter, "__next__", self._around_next, is_inert=True)
        run.patch(torch.nn.Module, "eval", self._around_eval)
        for region in (torch.no_grad, torch.inference_mode):
            run.patch(region, "__enter__", self._around_enter, is_inert=True)
        handle = optimizer_hooks.register_optimizer_step_pre_hook(self._before_step)
        run.on_end(handle.remove)
        for take_hooks_away in (self._disarm, self._looks.stop):
            run.on_end(take_hooks_away)
            run.before_export.append(take_hooks_away)

    def gradients_ready(self, optimizer: Optimizer) -> None:
        """See whether what it moves is in evaluation mode."""
        self._asleep.look(optimizer, after_evaluation=False)

    def step_over(self) -> None:
        """Tell of an evaluation that ended with this step."""
        if self._lookout.is_broken:
            return
        self._looks.hand_on()
        if self._later and self._later[0][0].evaluated < self.run.step:
            self._tell_later()
        if self._pass is not None and self._pass.settled:
            self._tell()
        if self._later:
            self.notes.stir()
        self._put = False
        if self._others:
            self._others = 0
            self._passed_over.clear()

    def ended(self) -> None:
        """Tell of the last evaluation."""
        if self._lookout.is_broken:
            return
        if self._tentative is not None and self._pass is None:
            self._pass = self._tentative
        if self._pass is not None and self.run.step:
            self._tell(is_last=True)
        self._tell_later()
        self._looks.hand_on(wait=True)

    def _around_next(self, fetch: Callable[..., Any]) -> Callable[..., Any]:
        def observed(iterator: Any) -> Any:
            batch = fetch(iterator)
            if self._data.gave(id(iterator._dataset), self.run.step):
                if self._data.unknown and self._lookout.is_open():
                    self._training_began()
            elif self._lookout.is_open():
                self._keys.came(batch)
                self._looks.batch_came(iterator, batch)
                self._arm(None)
            return batch

        return observed

    def _training_began(self) -> None:
        """A batch of training came after batches of other data."""
        with self._lookout.looking():
            self._disarm()
            self._looks.stop()
            self._data.sort(self.run.step)
            self._pass = self._pass or self._tentative
            self._tentative = None
            if self._pass is not None:
                self._end()
        self._tell()

    def _around_eval(self, put: Callable[..., Any]) -> Callable[..., Any]:
        def observed(module: torch.nn.Module) -> Any:
            result = put(module)
            if self.run.step >= self._resting_until and self._lookout.is_open():
                self._put = self._put or self._is_trained(module)
                self.notes.stir()
                self._arm(("eval", id(module)))
            return result

        return observed

    def _around_enter(self, enter: Callable[..., Any]) -> Callable[..., Any]:
        def observed(region: Any) -> Any:
            result = enter(region)
            if self._hook is None and not self.run.looking and self._pass is None:
                frame = sys._getframe(1)
                if frame.f_globals.get("__name__") == "torch.utils._contextlib" and frame.f_back:
                    frame = frame.f_back  # as a decorator
                sign = id(frame.f_code), frame.f_lineno
                if (
                    self._vain.get(sign, 0) < VAIN
                    and self.run.step >= self._resting_until
                    and not str(frame.f_globals.get("__name__")).startswith(NOT_OWN)
                    and self._lookout.is_open()
                ):
                    self._arm(sign)
            return result

        return observed

    def _arm(self, sign: Hashable) -> None:
        """Look at the next call of a module. Before there is an optimizer nothing is trained."""
        is_known = self._tentative is not None or (
            self._pass is not None and self._pass.facts.trained
        )
        is_idle = self.run.over or self.run.compiled or not self.run.optimizers
        if is_known or is_idle or self._hook is not None:
            return
        if self._vain.get(sign, 0) < VAIN:
            self._sign = sign
            self._hook = register_module_forward_pre_hook(self._before_forward)

    def _disarm(self) -> None:
        if self._hook is not None:
            self._hook.remove()
            self._hook = self._again = None

    def _before_forward(self, module: torch.nn.Module, args: Any) -> None:
        if module in self._passed_over or not self._lookout.is_open():
            return
        if self._again is not None:
            if self._again() is module and not torch.is_grad_enabled():
                self._disarm()
                with self._lookout.looking():
                    self._looks.compare()
            return
        self._disarm()
        gradients = torch.is_grad_enabled()
        with self._lookout.looking():
            is_trained = self._is_trained(module)
            unknown = self._data.others()
            if (gradients or not is_trained) and not unknown and self._sign is not None:
                self._vain[self._sign] = self._vain.get(self._sign, 0) + 1
            if not gradients and not is_trained:
                self._pass_over(module)
            if (gradients or not is_trained) and not unknown:
                return
            self._vain.pop(self._sign, None)
            found = _Pass(
                self._facts(module, gradients=gradients, is_trained=is_trained),
                unknown,
                self._data.fed == self.run.step,
            )
            if gradients:
                self._tentative = self._tentative or found
                return
            if self._pass is None or not self._pass.facts.trained:
                self._pass = found
                self._keys.called(args)
                if is_trained and self._looks.model_called(module, found.facts.at):
                    self._again = weakref.ref(module)
                    self._hook = register_module_forward_pre_hook(self._before_forward)

    def _pass_over(self, module: torch.nn.Module) -> None:
        """Wait for another one: this may be a teacher, or an extractor of features."""
        self._others += 1
        self.notes.stir()
        self._passed_over.update(module.modules())
        if self._others < OTHERS:
            self._arm(self._sign)

    def _facts(self, module: torch.nn.Module, *, gradients: bool, is_trained: bool) -> Evaluated:
        changing = [each for each in module.modules() if each.training and sensitive(each)]
        return Evaluated(
            module=self.run.names.module(module),
            kind=type(module).__name__,
            trained=is_trained,
            training=module.training,
            gradients=gradients,
            other_data=False,  # not known yet
            put=self._put,
            evaluated=self.run.step,
            sensitive=len(changing),
            first_sensitive=self.run.names.module(changing[0]) if changing else "",
            at=running_line(PROGRAM),
        )

    def _before_step(self, optimizer: Optimizer, args: Any, kwargs: Any) -> None:  # noqa: ARG002
        """Global hook: whatever gave the last batch is training data."""
        is_open = self._data.unknown or self._pass or self._tentative
        if not (is_open or self._has_to_look) or not self._lookout.is_open():
            return
        with self._lookout.looking():
            if is_open:
                self._settle()
            if optimizer in self._to_look:
                self._to_look.discard(optimizer)
                self._has_to_look = len(self._to_look) > 0
                self._asleep.look(optimizer, after_evaluation=True)

    def _settle(self) -> None:
        self._disarm()
        self._looks.stop()
        self._data.sort(self.run.step)
        tentative, self._tentative = self._tentative, None
        if self._pass is None and tentative is not None and self._data.last not in tentative.data:
            self._pass = tentative
        if self._pass is None:
            self._keys.found()  # they were those of a training batch
            self._looks.forget()
        if self._pass is not None and not self._pass.settled:
            self._end()

    def _end(self) -> None:
        """Decide, where training goes on, whether it was an evaluation."""
        found = self._pass
        assert found is not None, "asked only of a pass that was seen"
        is_fed = found.trained_on and not found.data - self._data.training
        belongs = (is_fed or self._data.last in found.data) and not found.facts.put
        last, count = self._streaks.get(found.facts.at, (-2, 0))
        count = count + 1 if self.run.step - last <= 1 else 1
        self._streaks[found.facts.at] = self.run.step, count
        if belongs or count > STREAK:
            self._pass = None
            self._looks.forget()
            self._belongs(found)
            return
        found.settled = True
        self.notes.stir()
        self._to_look.update(self.run.optimizers)
        self._has_to_look = True

    def _belongs(self, found: _Pass) -> None:
        self._idle += 1
        if self._idle == STREAK and self._rest == REST:
            self.notes.happen(PassBelongs(at=found.facts.at))
        if self._idle >= PATIENCE:
            self._idle, self._rest = 0, self._rest * 2
            self._resting_until = self.run.step + self._rest

    def _tell(self, *, is_last: bool = False) -> None:
        found, self._pass = self._pass, None
        if found is None:
            return
        self._looks.settle()
        keys, keys_from = self._keys.found()
        self.notes.stir()
        self._later.append((replace(found.facts, keys=keys, keys_from=keys_from), found.data))
        if not is_last:
            self.notes.happen(BackToTraining(at=found.facts.at))

    def _tell_later(self) -> None:
        """Tell of evaluations a step later: a data set that comes again feeds the steps."""
        later, self._later = self._later, []
        for facts, data in later:
            is_other = bool(data - self._data.training)
            if facts.put or is_other or not data:
                self.notes.happen(replace(facts, other_data=is_other))
        self._looks.tell_data(self._data.training)

    def _is_trained(self, module: torch.nn.Module) -> bool:
        groups = sum(len(each.param_groups) for each in self.run.optimizers)
        known = self._trained.get(module)
        if known is None or known[0] != groups:
            held = self.run.held
            is_trained = any(id(parameter) in held for parameter in module.parameters())
            known = self._trained[module] = groups, is_trained
        return known[1]
