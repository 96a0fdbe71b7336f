"""The optimizers of a run: their groups as they take effect, and what each step is fed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import msgspec
import torch
from torch import nn
from torch.optim import Optimizer

from stepscope.core import Evidence, Place
from stepscope.evidence import optimizers as facts
from stepscope.probes.gradient_norms import Size, largest_on_device, read_together
from stepscope.probes.gradients import BackwardHistory, GradientHistory, Trained, find_trained
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe
from stepscope.probes.schedules import ScheduleHistory, as_number, rates, unwrapped
from stepscope.probes.shared_rates import SharedRates
from stepscope.probes.source_lines import PROGRAM, running_line

# Rules that divide by a running size of the gradient, so that an update is about lr, and Lion,
# which takes the sign. Not Adafactor and LAMB: they scale the update by the parameter.
_ADAPTIVE = ("adam", "lion", "rmsprop", "adagrad")
_SAMPLED = 8  # parameters of an optimizer that tell whether gradients were there before a backward

Sample = dict[int, torch.Tensor]  # largest element of some gradients, by id of the parameter


@dataclass(slots=True)
class _Group:
    parameters: tuple[str, ...] = ()
    lrs: list[float] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Pending:
    """What is known of a step that is about to be taken."""

    step: facts.Step
    sizes: dict[int, Size]  # of all gradients, by id of the parameter
    reached: frozenset[int]
    scale: float
    found_inf: torch.Tensor | None  # of a fused optimizer, which skips by itself


@dataclass(slots=True)
class _Ledger:
    """One optimizer, from its making on."""

    kind: str = ""
    adaptive: bool = False
    made_at: Place = field(default_factory=Place)
    stepped: int = 0
    skipped: int = 0
    groups: list[_Group] = field(default_factory=list)
    unknown: tuple[str, ...] = ()
    entering: list[Sample] = field(default_factory=list)  # a backward an entry
    used: dict[int, Size] = field(default_factory=dict)  # gradients of its last step
    made_lrs: tuple[float, ...] = ()
    zeroed_at: Place | None = None  # since the last backward
    called_at: Place = field(default_factory=Place)
    within: int | None = None
    pending: _Pending | None = None


class OptimizersProbe(Probe):
    """Keeps a ledger for each optimizer, and beside it the gradients and the backward calls."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._ledgers: dict[int, _Ledger] = {}
        self._steps: list[facts.Step] = []
        self._stepping: list[int] = []  # optimizers inside whose `step` the program is
        self._step_calls = 0
        self._entering: dict[int, Sample] = {}  # of the running backward
        self._reached: set[int] = set()  # tensors, since the last step
        self._gradients = GradientHistory(run)
        self._backwards = BackwardHistory(run)
        self._schedules = ScheduleHistory(run, lambda made: self._ledger(made).stepped)
        self._shared_rates = SharedRates(run)
        run.patch(Optimizer, "__init__", self._around_making)
        run.patch(Optimizer, "zero_grad", self._around_zeroing)
        run.patch(nn.Module, "zero_grad", self._around_zeroing)
        run.patch(torch.amp.GradScaler, "step", self._around_scaler_step)

    def _ledger(self, of: Optimizer | int) -> _Ledger:
        index = of if isinstance(of, int) else self.run.index(of)
        ledger = self._ledgers.setdefault(index, _Ledger())
        if isinstance(of, Optimizer) and not ledger.kind:
            ledger.kind = type(of).__name__
            ledger.adaptive = any(name in ledger.kind.lower() for name in _ADAPTIVE)
        return ledger

    def _around_making(self, make: Any) -> Any:
        def observed(optimizer: Optimizer, *args: Any, **kwargs: Any) -> None:
            make(optimizer, *args, **kwargs)
            if not self.run.looking:
                ledger = self._ledger(optimizer)
                ledger.made_at = running_line(PROGRAM)
                ledger.made_lrs = rates(optimizer)

        return observed

    def _around_zeroing(self, zero: Any) -> Any:
        def observed(owner: Optimizer | nn.Module, *args: Any, **kwargs: Any) -> None:
            if not self.run.looking:
                emptied = {id(tensor) for tensor in _tensors_of(owner)}
                for optimizer in self.run.optimizers:
                    if not emptied.isdisjoint(map(id, _tensors_of(optimizer))):
                        self._ledger(optimizer).zeroed_at = running_line(PROGRAM)
            zero(owner, *args, **kwargs)

        return observed

    def _around_scaler_step(self, step: Any) -> Any:
        def observed(scaler: Any, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
            before = self._step_calls
            result = step(scaler, optimizer, *args, **kwargs)
            inner = unwrapped(optimizer)
            skipped = self._step_calls == before and scaler.is_enabled()
            if skipped and any(inner is each for each in self.run.optimizers):
                self._ledger(inner).skipped += 1
            return result

        return observed

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:
        """See which gradients exist already, and what the graph reaches."""
        self._backwards.called(roots, find_trained(self.run).tensors)
        self._entering = {
            self.run.index(optimizer): _largest_sampled(optimizer)
            for optimizer in self.run.optimizers
        }

    def backward_returned(self, roots: tuple[torch.Tensor, ...]) -> None:  # noqa: ARG002
        """Count the backward for each optimizer that it fed."""
        reached = self._backwards.returned(find_trained(self.run).tensors)
        self._reached |= reached
        for optimizer in self.run.optimizers:
            if not reached.isdisjoint(map(id, _tensors_of(optimizer))):
                ledger = self._ledger(optimizer)
                ledger.entering.append(self._entering.get(self.run.index(optimizer), {}))
                ledger.zeroed_at = None

    def step_called(self, optimizer: Optimizer) -> None:
        """Note the line, and whether another optimizer's step makes the call."""
        self._step_calls += 1
        index, ledger = self.run.index(optimizer), self._ledger(optimizer)
        if index in self._stepping:  # its last step raised
            del self._stepping[self._stepping.index(index) :]
        ledger.within = self._stepping[-1] if self._stepping else None
        ledger.called_at = running_line(PROGRAM)
        ledger.pending = None
        self._stepping.append(index)

    def gradients_ready(self, optimizer: Optimizer) -> None:
        """Read gradients and groups. A closure that is called again changes nothing here."""
        ledger = self._ledger(optimizer)
        if ledger.pending is not None:
            return
        factor = getattr(optimizer, "grad_scale", None)  # a fused optimizer unscales by itself
        scale = 1.0 if factor is None else float(factor)
        trained = find_trained(self.run)
        found = self._gradients.read(trained)
        self._backwards.read()
        self._read_groups(optimizer, trained)
        own = {id(tensor): tensor for tensor in _tensors_of(optimizer)}
        present = [found[key] for key in own if key in found]
        entering = _read(ledger.entering)
        step = facts.Step(
            optimizer=self.run.index(optimizer),
            step=self.run.step,
            backwards=len(ledger.entering),
            entering_nonzero=tuple(any(sample.values()) for sample in entering),
            carried=_is_carried(entering, ledger.used),
            gradients_present=len(present),
            gradients_nonzero=sum(size.largest != 0 for size in present),
            gradient_norm=math.hypot(*(size.norm for size in present)) / scale,
            zeroed_at=ledger.zeroed_at,
            within=ledger.within,
            at=ledger.called_at,
        )
        found_inf = getattr(optimizer, "found_inf", None)
        ledger.pending = _Pending(step, found, frozenset(self._reached), scale, found_inf)

    def _read_groups(self, stepping: Optimizer, trained: Trained) -> None:
        for optimizer in self.run.optimizers:
            ledger = self._ledger(optimizer)
            while len(ledger.groups) < len(optimizer.param_groups):
                ledger.groups.append(_Group())
            for group, live in zip(ledger.groups, optimizer.param_groups, strict=False):
                group.parameters = tuple(trained.names[id(each)] for each in live["params"])
                group.settings = {key: value for key, value in live.items() if key != "params"}
            ledger.unknown = tuple(
                trained.names[id(tensor)]
                for tensor in _tensors_of(optimizer)
                if id(tensor) not in trained.in_modules
            )
        for group, lr in zip(self._ledger(stepping).groups, rates(stepping), strict=True):
            group.lrs.append(lr)

    def step_returned(self, optimizer: Optimizer) -> None:
        """Enter the step."""
        index, ledger = self.run.index(optimizer), self._ledger(optimizer)
        if index in self._stepping:
            del self._stepping[self._stepping.index(index) :]
        if ledger.pending is not None:
            self._enter(ledger, ledger.pending)
        ledger.stepped += 1
        ledger.pending = None
        ledger.zeroed_at = None
        ledger.entering.clear()
        self._reached.clear()

    def _enter(self, ledger: _Ledger, taken: _Pending) -> None:
        # A step that another one called has moved the count since the gradients were read.
        self._steps.append(msgspec.structs.replace(taken.step, step=self.run.step))
        ledger.used = taken.sizes
        self._gradients.keep(find_trained(self.run), taken.sizes, taken.reached, taken.scale)
        if taken.found_inf is not None and float(taken.found_inf) > 0:
            ledger.skipped += 1

    def evidence(self) -> Iterator[Evidence]:
        """Yield backward roots; where a step was taken, optimizers, schedules and gradients too."""
        yield from self._backwards.evidence()
        if self._steps:
            yield self._gradients.evidence()
            yield from self._of_optimizers()

    def _of_optimizers(self) -> Iterator[Evidence]:
        live = {self.run.index(optimizer): optimizer for optimizer in self.run.optimizers}
        ledgers = [self._ledger(index) for index in range(max(self._ledgers, default=-1) + 1)]
        groups = [
            _group_fact(
                index,
                number,
                group,
                self._lr_next(index, number, group, live.get(index)),
                ledger.made_lrs[number] if number < len(ledger.made_lrs) else None,
            )
            for index, ledger in enumerate(ledgers)
            for number, group in enumerate(ledger.groups)
        ]
        yield facts.Optimizers(
            optimizers=tuple(
                facts.Optimizer(
                    kind=ledger.kind,
                    stepped=ledger.stepped,
                    adaptive=ledger.adaptive,
                    skipped_by_scaler=ledger.skipped,
                    unknown=ledger.unknown,
                    made_at=ledger.made_at,
                )
                for ledger in ledgers
            ),
            groups=tuple(groups),
            steps=tuple(self._steps),
        )
        yield facts.Schedules(
            steps=tuple(self._schedules.steps),
            lrs=tuple(
                tuple((*group.lrs, group.lr_next) for group in groups if group.optimizer == index)
                for index in range(len(ledgers))
            ),
            shared_rates=tuple(self._shared_rates.found),
        )

    def _lr_next(self, index: int, number: int, group: _Group, live: Optimizer | None) -> float:
        """Return what the next step would use; of an optimizer that is gone, the last seen."""
        if live is not None and number < len(live.param_groups):
            return rates(live)[number]
        for step in reversed(self._schedules.steps):
            if step.optimizer == index and number < len(step.lrs):
                return step.lrs[number]
        return group.lrs[-1] if group.lrs else as_number(group.settings.get("lr"))


def _group_fact(
    index: int, number: int, group: _Group, lr_next: float, made_lr: float | None
) -> facts.Group:
    settings = group.settings
    betas = settings.get("betas") or (0.0,)
    return facts.Group(
        optimizer=index,
        index=number,
        parameters=group.parameters,
        lrs=tuple(group.lrs),
        lr_next=lr_next,
        made_lr=made_lr,
        initial_lr=as_number(settings["initial_lr"]) if "initial_lr" in settings else None,
        weight_decay=as_number(settings.get("weight_decay", 0.0)),
        momentum=as_number(settings.get("momentum", betas[0])),
        label=str(settings.get("name", "")),
    )


def _tensors_of(owner: Optimizer | nn.Module) -> list[torch.Tensor]:
    if isinstance(owner, nn.Module):
        return list(owner.parameters())
    return [tensor for group in owner.param_groups for tensor in group["params"]]


def _largest_sampled(optimizer: Optimizer) -> Sample:
    """Return the largest element of some of its gradients, still on their device."""
    holding = [each for each in _tensors_of(optimizer) if each.grad is not None]
    spread = holding[:: max(1, len(holding) // _SAMPLED)][:_SAMPLED]
    found = largest_on_device([tensor.grad for tensor in spread])
    return {id(spread[place]): most for place, most in found.items()}


def _read(samples: list[Sample]) -> list[dict[int, float]]:
    """Read what stood in the gradients when backwards began, all of them together."""
    numbers = iter(read_together([most for sample in samples for most in sample.values()]))
    return [{key: next(numbers) for key in sample} for sample in samples]


def _is_carried(entering: list[dict[int, float]], used: dict[int, Size]) -> bool:
    """Tell whether the first backward since the last step found what that step had used."""
    first = entering[0] if entering else {}
    pairs = [(most, used[key].largest) for key, most in first.items() if key in used]
    return any(now != 0 for now, _ in pairs) and all(now == was for now, was in pairs)
