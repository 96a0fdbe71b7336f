"""The optimizers: their groups as they take effect, and what each step was fed."""

import functools
from typing import ClassVar

import msgspec

from stepscope.core import Evidence, Place


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter group. `lrs` has one entry for each step of its optimizer, as it was used."""

    optimizer: int  # index into `Optimizers.optimizers`
    index: int  # of the group in its optimizer
    parameters: tuple[str, ...]  # qualified names, with repetitions where a tensor is held twice
    lrs: tuple[float, ...]
    lr_next: float  # what the next step would have used, when the recording ended
    initial_lr: float | None = None  # the schedule's base, where a scheduler is attached
    made_lr: float | None = None  # when the optimizer was made, where that was seen
    weight_decay: float = 0.0
    momentum: float = 0.0  # SGD's momentum or Adam's beta1
    label: str = ""  # the group's own "name" entry

    @property
    def stands_still(self) -> bool:
        """Whether its lr was 0 at every step, stays so at the next, and no schedule has a base."""
        return bool(self.lrs) and not any((*self.lrs, self.lr_next, self.initial_lr or 0.0))


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One call of `step` of one optimizer."""

    optimizer: int
    step: int  # position among all recorded steps
    backwards: int  # that reached its parameters since its previous step
    entering_nonzero: tuple[bool, ...]  # for each: did gradients exist already, not all zero?
    carried: bool = False  # the first of them found the gradients that the previous step had used
    gradients_present: int  # parameters with a gradient when the step used it
    gradients_nonzero: int  # of these, with any element other than 0
    gradient_norm: float  # over the optimizer's parameters; may be nan or inf
    within: int | None = None  # the optimizer whose own `step` made the call (SAM, Lookahead)
    zeroed_at: Place | None = None  # last `zero_grad` between the last backward and this step
    at: Place = Place()  # the line that called `step`


class Optimizer(msgspec.Struct, frozen=True, kw_only=True):
    """One optimizer that was made while the program ran."""

    kind: str  # "AdamW"
    stepped: int  # recorded steps
    adaptive: bool  # its update is about lr in size, whatever the gradient (Adam and its kin)
    skipped_by_scaler: int = 0  # steps that `GradScaler` left out for inf or nan
    unknown: tuple[str, ...] = ()  # of its parameters, those that no live module holds
    made_at: Place = Place()


class Optimizers(Evidence, frozen=True, kw_only=True, dict=True):  # dict: for what is cached
    """All optimizers, those that never stepped too."""

    obtained_by: ClassVar[str] = "an optimizer step"
    optimizers: tuple[Optimizer, ...]
    groups: tuple[Group, ...]
    steps: tuple[Step, ...]

    def groups_of(self, parameter: str) -> tuple[Group, ...]:
        """Return the groups that hold this parameter, a group once for each time it holds it."""
        return tuple(self._groups_by_parameter.get(parameter, ()))

    @functools.cached_property
    def _groups_by_parameter(self) -> dict[str, list[Group]]:
        holding: dict[str, list[Group]] = {}
        for group in self.groups:
            for name in group.parameters:
                holding.setdefault(name, []).append(group)
        return holding

    def stands_still(self, parameter: str) -> bool:
        """Tell whether it is held, and only by groups that stand still."""
        groups = self.groups_of(parameter)
        return bool(groups) and all(group.stands_still for group in groups)

    def lrs_of(self, parameter: str) -> tuple[float, ...]:
        """Return every learning rate that a recorded step used for this parameter."""
        return tuple(lr for group in self.groups_of(parameter) for lr in group.lrs)


class ScheduleStep(msgspec.Struct, frozen=True, kw_only=True):
    """One call of a learning-rate scheduler's `step`."""

    scheduler: str  # class name
    optimizer: int
    after_step: int  # recorded steps of its optimizer before it
    lrs: tuple[float, ...]  # of each group, after it
    lrs_before: tuple[float, ...] = ()
    at: Place


class SharedRate(msgspec.Struct, frozen=True, kw_only=True):
    """A rate that a scheduler gives to all groups alike, whatever each was made with."""

    scheduler: str  # class name
    optimizer: int
    setting: str  # "eta_min", "max_lr"
    rate: float
    law: str = ""  # lr of a group whose own rate is 0, after t steps of the scheduler; "": unknown
    lrs: tuple[float, ...]  # of each group, right before the scheduler was made
    at: Place


class Schedules(Evidence, frozen=True, kw_only=True):
    """What the schedulers did; `lrs` of each optimizer also where no scheduler object exists."""

    obtained_by: ClassVar[str] = "an optimizer step"
    steps: tuple[ScheduleStep, ...]
    lrs: tuple[tuple[tuple[float, ...], ...], ...]  # optimizer, group, step; the last is `lr_next`
    shared_rates: tuple[SharedRate, ...] = ()
