"""A teacher is a copy of its student, does not follow it or its statistics, or is trained itself.

## What it proves
A module began as a copy of a trained one. Where no optimizer holds it, one of three:
- it moved, and at every look its distance from the student was below a thousandth of the way that
  the student had gone: what was meant as an average is a copy;
- values computed from parameters were written into it, and it never moved, while the student did;
- it moved with the student's weights and ran in evaluation mode, while its running statistics
  stayed as they began, and the student's moved.
Or the student's optimizer holds it too: between the optimizer's steps it went towards the student,
in a straight line, while the student stayed where it was; and in the steps it was moved as well.

## Why it matters
A momentum encoder that is a copy gives keys that change as fast as the queries, and a bank full of
keys of encoders that no longer exist. One that never moves teaches what the first weights knew. One
with old statistics normalises new features by the means of the first ones. One that an optimizer
trains, or decays, is no average any more: it learns to agree with the student, and both collapse.

## What to do
`teacher.mul_(m).add_(student, alpha=1 - m)`: the teacher on both sides of the line, `m` near 1. In
half precision keep the teacher in float32, or its updates are lost to rounding. Copy the buffers
too, or average them. Give the optimizer the student's parameters only, and the teacher
`requires_grad_(False)`.

## Limits
A warning: an exact copy may be meant. Judged over at least three looks at which the student had
gone 1e-4 of its norm, when the run has come to its own end, or after 500 steps: averages may begin
with a phase of copying. Where `load_state_dict` fills it after a step, the copy is meant, and
nothing is said. Teachers of which the class or the shapes differ from the student's are not
found, nor those that began elsewhere (a pretrained teacher), nor those that are averaged outside of
modules. Whether a teacher is trained is looked at in the first 20 steps, for those in the optimizer
of the student; where they are that alike, at three steps or more.

## Sources
- He et al., "Momentum Contrast" (CVPR 2020), table of section 4.1: with m = 0 the training fails.
- Phases of copying: `update_after_step=100` of https://github.com/lucidrains/ema-pytorch
- A thousandth: an average with m = 0.9 lags by ten steps, a thousandth of a way of ten thousand
  steps in one direction; a copy in float32 lies 1e-7 of the norm away. Both lie apart at early
  looks.
"""

from collections.abc import Iterator

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.held_teachers import (
    ALIGNED,
    INSIDE,
    OUTSIDE,
    STUDENT_OUTSIDE,
    HeldTeacherCurves,
    HeldTeachersFound,
)
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.teachers import (
    ASLEEP,
    FOLLOWED,
    GAP,
    STATISTICS,
    STUDENT_STATISTICS,
    WALK,
    TeacherCurves,
    TeacherFound,
    TeachersFound,
)
from stepscope.evidence.modules import Modules
from stepscope.evidence.parameters import ParameterWrites, is_below


@rule("CON010", Severity.WARNING)
def teacher_does_not_follow(
    progress: Progress,
    teachers: TeachersFound | None,
    curves: TeacherCurves | None,
    held: HeldTeachersFound | None,
    ways: HeldTeacherCurves | None,
    endings: Endings | None,
    writes: ParameterWrites | None,
    modules: Modules | None,
    *,
    looks: int = 3,
    settled: int = 500,
    way: float = 1e-4,
    copied: float = 1e-3,
    straight: float = 0.99,
) -> Findings:
    trained = [*_trained(held, ways, looks, straight)] if held is not None and ways else []
    if trained:
        yield from trained
        return
    if teachers is None or curves is None:
        raise NotJudged(f"needs {TeachersFound.obtained_by}")
    if (endings is None or endings.steps is None) and progress.step < settled:
        raise NotJudged(f"the run goes on, and has taken {progress.step} steps of {settled}")
    far = {
        teacher.name: [
            i for i, walk in enumerate(curves.of(teacher.name, WALK).values) if walk >= way
        ]
        for _, teacher in teachers.seen
    }
    if all(len(each) < looks for each in far.values()):
        raise NotJudged(f"at fewer than {looks} looks a student had moved by {way:g} of its norm")
    for _, teacher in teachers.seen:
        if len(far[teacher.name]) >= looks:
            gap, walk, followed = (
                [curves.of(teacher.name, what).values[i] for i in far[teacher.name]]
                for what in (GAP, WALK, FOLLOWED)
            )
            at = _written_at(teacher, writes)
            ratio = max(g / w for g, w in zip(gap, walk, strict=True))
            if min(followed) > 0 and ratio <= copied and not _is_loaded(teacher, writes):
                yield _finding(
                    teacher,
                    f"is a copy of {_student(teacher)} at every look, not an average",
                    f"its distance is at most {ratio:.1g} of the student's way, at"
                    f" {len(walk)} looks; the student has gone {walk[-1]:.2g} of its norm",
                    at,
                )
            elif max(followed) == 0 and at is not None:
                yield _finding(
                    teacher,
                    f"is written from parameters, and never moves, while {_student(teacher)} does",
                    f"the same at {len(walk)} looks;"
                    f" the student has gone {walk[-1]:.2g} of its norm",
                    at,
                )
        yield from _old_statistics(teacher, curves, modules, looks)


def _trained(
    held: HeldTeachersFound, ways: HeldTeacherCurves, looks: int, straight: float
) -> Iterator[Finding]:
    said: list[str] = []
    for _, teacher in held.seen:  # larger modules come before those inside of them
        moved = [each for each in ways.of(teacher.name) if each[OUTSIDE] > 0]
        follows = all(each[ALIGNED] >= straight and each[STUDENT_OUTSIDE] == 0 for each in moved)
        by_step = [each[INSIDE] for each in moved if each[INSIDE] > 0]
        is_part = any(is_below(teacher.name, each) for each in said)
        if follows and len(by_step) >= looks and not is_part:
            said.append(teacher.name)
            yield Finding(
                subject=teacher.name,
                message=f"is an average of {teacher.student}, and is trained by its optimizer too",
                measured=f"{teacher.kind} {teacher.optimizer} has moved it in {len(by_step)} of"
                f" {len(moved)} steps looked at, by up to {max(by_step):.1g} of its norm; between"
                f" steps it went up to {max(each[OUTSIDE] for each in moved):.1g}, to the student",
                expected="a teacher that no optimizer holds",
                at=Place(module=teacher.name),
            )


def _old_statistics(
    teacher: TeacherFound, curves: TeacherCurves, modules: Modules | None, looks: int
) -> Iterator[Finding]:
    own = curves.of(teacher.name, STATISTICS).values
    student = curves.of(teacher.name, STUDENT_STATISTICS).values
    followed = curves.of(teacher.name, FOLLOWED).values
    layers = [
        each
        for each in (modules.below(teacher.name) if modules is not None else ())
        if each.normalisation and each.calls
    ]
    is_part = bool(layers) and not any(True in each.training for each in layers)
    by_itself = int(sum(curves.of(teacher.name, ASLEEP).values))
    if (
        (is_part or by_itself >= looks)
        and own
        and max(own) == 0
        and student[-1] > 0
        and followed[-1] > 0
    ):
        yield _finding(
            teacher,
            f"follows the weights of {_student(teacher)},"
            " and keeps the running statistics it began with",
            (
                f"{layers[0].name} and others run in evaluation mode ({len(layers)} layers);"
                if is_part
                else f"called in evaluation mode in {by_itself} of {len(own)} steps looked at;"
            )
            + f" the student's statistics have moved by {student[-1]:.2g}",
            None,
        )


def _student(teacher: TeacherFound) -> str:
    return teacher.student or "the model"


def _written_at(teacher: TeacherFound, writes: ParameterWrites | None) -> Place | None:
    own = [
        write.at
        for write in (writes.writes if writes is not None else ())
        if write.from_parameters and is_below(write.parameter, teacher.name)
    ]
    return own[-1] if own else None


def _is_loaded(teacher: TeacherFound, writes: ParameterWrites | None) -> bool:
    return any(
        "load" in write.operation and write.at.step and is_below(write.parameter, teacher.name)
        for write in (writes.writes if writes is not None else ())
    )


def _finding(teacher: TeacherFound, message: str, measured: str, at: Place | None) -> Finding:
    at = at or Place()
    return Finding(
        subject=teacher.name,
        message=message,
        measured=measured,
        expected="a slow average of the student, statistics included",
        at=Place(module=teacher.name, file=at.file, line=at.line, function=at.function),
    )


def _train(momentum: float, *, statistics: bool = True, steps: int = 12) -> None:
    import copy

    import torch

    student = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    teacher = copy.deepcopy(student).requires_grad_(False)
    model = torch.nn.ModuleDict({"student": student, "teacher": teacher.eval()})
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _step in range(steps):
        x = torch.randn(16, 8)
        optimizer.zero_grad()
        (model["student"](x) - model["teacher"](x)).square().sum().backward()
        (0.5 * model["student"](x).square()).sum().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.mul_(momentum).add_(fast, alpha=1 - momentum)
            if statistics:
                for kept, new in zip(teacher.buffers(), student.buffers(), strict=True):
                    kept.copy_(new)


def _train_both(*, has_gradient: bool = True, steps: int = 6, mutual: bool = False) -> None:
    import copy

    import torch

    student = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.Tanh(), torch.nn.Linear(8, 8))
    teacher = copy.deepcopy(student).requires_grad_(has_gradient)
    model = torch.nn.ModuleDict({"student": student, "teacher": teacher})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(steps):
        x = torch.randn(16, 8)
        optimizer.zero_grad()
        (model["student"](x) - model["teacher"](x + 1)).square().mean().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.1)
                if mutual:
                    fast.lerp_(slow, 0.1)


def fails_when_the_optimizer_trains_the_average(_: Watch) -> None:
    _train_both()


def skips_when_the_optimizer_has_trained_it_at_two_looks(_: Watch) -> None:
    _train_both(steps=3)


def skips_when_both_follow_each_other(_: Watch) -> None:
    _train_both(mutual=True)


def skips_when_the_average_is_held_and_gets_no_gradient(_: Watch) -> None:
    _train_both(has_gradient=False)


def fails_when_the_teacher_is_a_copy(_: Watch) -> None:
    _train(momentum=0.0)


def passes_when_the_teacher_is_an_average_of_few_steps(_: Watch) -> None:
    _train(momentum=0.5)


def fails_when_the_statistics_of_the_teacher_are_left_behind(_: Watch) -> None:
    _train(momentum=0.9, statistics=False)


def passes_when_the_teacher_is_a_slow_average(_: Watch) -> None:
    _train(momentum=0.99)


def _teach_alone(*, is_called: bool) -> None:
    """Train beside a teacher that is no part of a larger model, and keeps its statistics."""
    import copy

    import torch

    student = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.BatchNorm1d(8))
    teacher = copy.deepcopy(student).requires_grad_(False).eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _step in range(12):
        x = torch.randn(16, 8)
        target = teacher(x) if is_called else -x
        optimizer.zero_grad()
        (student(x) - target + 1).square().sum().backward()
        optimizer.step()
        with torch.no_grad():
            for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(fast, 0.1)


def fails_when_a_teacher_that_stands_alone_leaves_them_behind(_: Watch) -> None:
    _teach_alone(is_called=True)


def passes_when_an_average_without_them_is_never_called(_: Watch) -> None:
    _teach_alone(is_called=False)


def fails_when_the_average_takes_nothing_of_the_student(watch: Watch) -> None:
    from stepscope.evidence.parameters import ParameterWrites, Write

    _train(momentum=1.0)
    write = Write(
        parameter="teacher.0.weight",
        operation="add_",
        from_parameters=True,
        at=Place(file="train.py", line=12),
    )
    watch.saw(ParameterWrites(writes=(write,)))


def passes_when_the_frozen_copy_stays_behind_on_purpose(_: Watch) -> None:
    import copy

    import torch

    student = torch.nn.Linear(8, 8)
    reference = copy.deepcopy(student).requires_grad_(False)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    for _step in range(12):
        x = torch.randn(16, 8)
        optimizer.zero_grad()
        (student(x) - reference(x) + 1).square().mean().backward()
        optimizer.step()


def fails_when_the_gap_is_just_below_a_thousandth_of_the_way(watch: Watch) -> None:
    watch.saw(*_curves(gap=0.9e-3))


def passes_when_the_copy_is_loaded_on_purpose(watch: Watch) -> None:
    from stepscope.evidence.parameters import ParameterWrites, Write

    watch.saw(*_curves(gap=0.0))
    write = Write(
        parameter="key.weight",
        operation="load_state_dict",
        from_parameters=False,
        at=Place(file="train.py", line=12, step=1),
    )
    watch.saw(ParameterWrites(writes=(write,)))


def passes_when_the_gap_is_just_above_a_thousandth_of_the_way(watch: Watch) -> None:
    watch.saw(*_curves(gap=1.1e-3))


def skips_when_the_run_has_taken_499_steps(watch: Watch) -> None:
    watch.saw(*_curves(gap=0.0, steps=499))


def skips_when_there_are_two_looks_from_afar(watch: Watch) -> None:
    watch.saw(*_curves(gap=0.0, looks=2))


def _curves(
    *, gap: float, steps: int = 500, looks: int = 3
) -> tuple[TeachersFound, TeacherCurves, Progress, Endings]:
    from stepscope.evidence.course.endings import Endings, RunEnded
    from stepscope.evidence.course.series import Series

    at = tuple(range(looks))
    return (
        TeachersFound(seen=((0, TeacherFound(name="key", student="query")),), count=1),
        TeacherCurves(
            series={
                "key gap": Series(at, (gap,) * looks),
                "key walk": Series(at, (1.0,) * looks),
                "key followed": Series(at, (1.0,) * looks),
            }
        ),
        Progress(first=0, step=steps, sampled=looks, seconds=1.0),
        Endings(seen=((steps, RunEnded(finished=False)),), count=1),
    )
