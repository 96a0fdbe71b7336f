"""Whether an optimizer moves a network that the program itself moves towards another one."""

import weakref
from collections.abc import Iterator, Sequence
from itertools import combinations, islice

import torch
from torch import Tensor, nn

from stepscope.evidence.course.held_teachers import (
    ALIGNED,
    INSIDE,
    OUTSIDE,
    STUDENT_OUTSIDE,
    HeldTeacherFound,
)
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.teachers import NEAR, layout, read
from stepscope.probes.live_run import LiveRun

SUBJECT = "held teacher"
STEPS = 20  # first steps of the watching, that are all sampled: what is told needs two in a row
COMPARED = 32  # pairs of modules that are alike
TOWERS = 4  # of one layout, at most: more of them are layers of a stack
LEAST_NORM = 1e-30  # instead of 0, below a fraction


class _Pair:
    """Two modules that are alike, of which the first may follow the second."""

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        self.modules = weakref.ref(teacher), weakref.ref(student)
        self.before: tuple[Tensor, Tensor] | None = None  # the last step of the optimizer
        self.after: tuple[Tensor, Tensor] | None = None
        self.inside: Tensor | None = None
        self.is_found = False

    def read(self) -> tuple[Tensor, Tensor] | None:
        teacher, student = (each() for each in self.modules)
        if teacher is None or student is None:
            return None
        return read(teacher, parameters=True), read(student, parameters=True)


class HeldTeacherSampler(Sampler):
    """Reads candidates around the first steps of their optimizer, and then no more."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._models = Models(run)
        self._arrivals = Arrivals()
        self._pairs: weakref.WeakKeyDictionary[torch.optim.Optimizer, list[_Pair]] = (
            weakref.WeakKeyDictionary()
        )

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Measure how far the modules went since the step before."""
        if self.run.step >= STEPS:
            self._pairs.clear()
            return
        self._arrivals.hand_on()
        if optimizer not in self._pairs:
            self._pairs[optimizer] = self._candidates(optimizer)
        for pair in tuple(self._pairs[optimizer]):
            pair.before = pair.read()
            if pair.before is not None and pair.after is not None and pair.inside is not None:
                self._measure(pair, optimizer, pair.before, pair.after, pair.inside)

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:
        """Measure how far the step has moved them."""
        for pair in self._pairs.get(optimizer, ()):
            pair.after = pair.read()
            if pair.after is not None and pair.before is not None:
                pair.inside = (pair.after[0] - pair.before[0]).norm()

    def _candidates(self, optimizer: torch.optim.Optimizer) -> list[_Pair]:
        """Return both orders of each two modules that began alike, the largest ones first."""
        held = {id(each) for group in optimizer.param_groups for each in group["params"]}
        found: list[_Pair] = []
        for one, other in islice(_alike(self._models.roots(), held), COMPARED):
            ours, theirs = (read(each, parameters=True) for each in (one, other))
            if ours.numel():
                self._ask_if_near(found, (_Pair(one, other), _Pair(other, one)), ours, theirs)
        return found

    def _ask_if_near(
        self, pairs: list[_Pair], two: tuple[_Pair, _Pair], ours: Tensor, theirs: Tensor
    ) -> None:
        def answered(values: list[float]) -> None:
            if values[0] < NEAR:
                pairs.extend(two)

        self._arrivals.ask([_ratio((ours - theirs).norm(), theirs.norm())], answered)

    def _measure(
        self,
        pair: _Pair,
        optimizer: torch.optim.Optimizer,
        before: tuple[Tensor, Tensor],
        after: tuple[Tensor, Tensor],
        inside: Tensor,
    ) -> None:
        went, to_student = before[0] - after[0], before[1] - after[0]
        norm = before[0].norm()
        measured = {
            OUTSIDE: _ratio(went.norm(), norm),
            ALIGNED: _ratio(went @ to_student, went.norm() * to_student.norm()),
            INSIDE: _ratio(inside, norm),
            STUDENT_OUTSIDE: _ratio((before[1] - after[1]).norm(), norm),
        }
        teacher, student = (each() for each in pair.modules)
        assert teacher is not None, "read in this same moment"
        assert student is not None, "likewise"
        names = self.run.names.module(teacher), self.run.names.module(student)
        index, kind = self.run.index(optimizer), type(optimizer).__name__

        def arrived(values: list[float]) -> None:
            if values[0] == 0:
                return
            if not pair.is_found:
                pair.is_found = True
                self.notes.happen(
                    HeldTeacherFound(name=names[0], student=names[1], optimizer=index, kind=kind)
                )
            for what, value in zip(measured, values, strict=True):
                self.notes.number(SUBJECT, f"{names[0]} {what}", value)

        self._arrivals.ask(list(measured.values()), arrived)

    def ended(self) -> None:
        """Tell what is still on its way."""
        self._arrivals.hand_on(wait=True)


def _alike(roots: Sequence[nn.Module], held: set[int]) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Yield pairs of one class and layout that an optimizer holds whole, larger ones first."""
    sizes: dict[nn.Module, int] = {}
    for root in roots:
        _measure_held(root, held, sizes)
    groups: dict[tuple[type, int], list[nn.Module]] = {}
    for module, size in sizes.items():
        groups.setdefault((type(module), size), []).append(module)
    for (_, size), modules in sorted(groups.items(), key=lambda each: -each[0][1]):
        if size and 1 < len(modules) <= TOWERS:
            for one, other in combinations(modules, 2):
                if layout(one) == layout(other):
                    yield one, other


def _measure_held(module: nn.Module, held: set[int], sizes: dict[nn.Module, int]) -> int | None:
    """Count the elements of each module of which all parameters are held; None for any other."""
    if module in sizes:
        return sizes[module]
    own = [each for each in module._parameters.values() if each is not None]
    below = [
        _measure_held(each, held, sizes) for each in module._modules.values() if each is not None
    ]
    counted = [each for each in below if each is not None]
    if len(counted) < len(below) or any(id(each) not in held for each in own):
        return None
    sizes[module] = sum(counted) + sum(each.numel() for each in own)
    return sizes[module]


def _ratio(part: Tensor, whole: Tensor) -> Tensor:
    return part / whole.clamp_min(LEAST_NORM)
