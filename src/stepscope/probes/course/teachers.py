"""How networks that no gradient trains follow those that they began as copies of."""

import weakref
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from stepscope.evidence.course.teachers import (
    ASLEEP,
    FOLLOWED,
    GAP,
    STATISTICS,
    STUDENT_STATISTICS,
    WALK,
    TeacherFound,
)
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import FIRST, Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.fingerprints import readable
from stepscope.probes.live_run import LiveRun
from stepscope.probes.modules import keeps_statistics

SUBJECT = "teacher"
MOST, CANDIDATES = 4, 32  # teachers in a run, and pairs that are compared to find them
TENSORS, ELEMENTS = 32, 256  # that are read of a network
NEAR = 0.1  # of the student's norm: two random beginnings lie 1.4 apart


class _Pair:
    """A teacher, its student, and what was first read of both."""

    def __init__(self, teacher: nn.Module, student: nn.Module) -> None:
        self.teacher, self.student = weakref.ref(teacher), weakref.ref(student)
        self.first = [read(each, parameters=True) for each in (teacher, student)]
        self.statistics = [read(each, parameters=False) for each in (teacher, student)]
        self.name = ""  # while it is not sure that it is a teacher
        self.is_called = False  # in this step, by itself and in evaluation mode


class TeacherSampler(Sampler):
    """Looks at a few steps, before an optimizer steps: what was copied is still equal then."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._models = Models(run)
        self._arrivals = Arrivals()
        self._pairs: list[_Pair] = []
        self._step = -1
        self._looks = 0

    def model_returned(self, module: nn.Module, output: object) -> None:  # noqa: ARG002
        """Take note of teachers that are called."""
        for pair in self._pairs:
            if pair.name and pair.teacher() is module and not pair.is_called:
                pair.is_called = not any(
                    each.training for each in module.modules() if keeps_statistics(each)
                )

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Look, when it is time to."""
        if self._step == self.run.step:
            return
        self._step = self.run.step
        self._arrivals.hand_on()
        if self._rarely.is_due():
            self._look()
        for pair in self._pairs:
            pair.is_called = False

    def _look(self) -> None:
        self._looks += 1
        for pair in self._pairs:
            self._measure(pair)
        if self._looks <= FIRST:
            self._find()

    def _find(self) -> None:
        known = {(id(pair.teacher()), id(pair.student())) for pair in self._pairs}
        for teacher, student in _pairs(self._models.roots(), set(self.run.held)):
            if (id(teacher), id(student)) not in known and len(self._pairs) < CANDIDATES:
                self._compare(
                    _Pair(teacher, student), *map(self.run.names.module, (teacher, student))
                )

    def _compare(self, pair: _Pair, name: str, student: str) -> None:
        """Take the pair for teacher and student if they lie as near as a copy does."""
        self._pairs.append(pair)
        ours, theirs = pair.first

        def found(values: list[float]) -> None:
            if values[0] < NEAR and sum(bool(each.name) for each in self._pairs) < MOST:
                pair.name = name
                self.notes.happen(TeacherFound(name=name, student=student, gap=values[0]))

        self._arrivals.ask([(ours - theirs).norm() / theirs.norm()], found)

    def _measure(self, pair: _Pair) -> None:
        teacher, student = pair.teacher(), pair.student()
        if not pair.name or teacher is None or student is None:
            return
        ours, theirs = (read(each, parameters=True) for each in (teacher, student))
        if ours.shape != pair.first[0].shape or theirs.shape != pair.first[1].shape:
            return
        norm = theirs.norm()
        found = {
            GAP: (ours - theirs).norm() / norm,
            WALK: (theirs - pair.first[1]).norm() / norm,
            FOLLOWED: (ours - pair.first[0]).norm() / norm,
        }
        now = [read(each, parameters=False) for each in (teacher, student)]
        if now[0].numel() and all(
            a.shape == b.shape for a, b in zip(now, pair.statistics, strict=True)
        ):
            found[STATISTICS] = (now[0] - pair.statistics[0]).norm()
            found[STUDENT_STATISTICS] = (now[1] - pair.statistics[1]).norm()
            self.notes.number(SUBJECT, f"{pair.name} {ASLEEP}", float(pair.is_called))
        for what, value in found.items():
            self.notes.number(SUBJECT, f"{pair.name} {what}", value)


def _pairs(roots: Sequence[nn.Module], held: set[int]) -> Iterator[tuple[nn.Module, nn.Module]]:
    """Yield largest modules that no optimizer trains, each with the trained ones that are alike."""
    idle: list[nn.Module] = []
    trained: dict[type, list[nn.Module]] = {}
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if any(id(p) in held for p in module.parameters()):
            trained.setdefault(type(module), []).append(module)
            waiting += _children(module)
        elif any(p.dim() > 1 for p in module.parameters()):
            idle.append(module)
    while idle:
        teacher = idle.pop()
        if all(p.dim() < 2 for p in teacher.parameters()):  # noqa: PLR2004 - scales, equal in all
            continue
        wanted = layout(teacher)
        alike = [
            student
            for student in trained.get(type(teacher), ())
            if layout(student) == wanted and all(id(p) in held for p in student.parameters())
        ]
        yield from ((teacher, student) for student in alike)
        idle += [] if alike else _children(teacher)


def _children(module: nn.Module) -> list[nn.Module]:
    return [child for child in module._modules.values() if child is not None]


def layout(module: nn.Module) -> list[tuple[str, torch.Size, torch.device]]:
    """Return what two modules have in common of which one is a copy of the other."""
    return [(name, p.shape, p.device) for name, p in module.named_parameters()]


def read(module: nn.Module, *, parameters: bool) -> Tensor:
    """Return evenly spread elements of the matrices of a module, or of its running statistics."""
    chosen: list[Tensor] = [p for p in module.parameters() if parameters and p.dim() > 1]
    if not parameters:
        chosen = [b for name, b in module.named_buffers() if name.endswith(("_mean", "_var"))]
    plain = [each for tensor in chosen if (each := readable(tensor)) is not None]
    some = [
        tensor.reshape(-1)[:: -(-tensor.numel() // ELEMENTS)].double()
        for tensor in plain[:: -(-len(plain) // TENSORS) or 1]
    ]
    return torch.cat(some) if some else torch.empty(0)
