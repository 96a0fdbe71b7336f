"""A checkpoint carries an optimizer, and lacks something else that an exact resume needs.

## What it proves
The file holds an optimizer's state, so it is meant to resume from. Warning: its parameter groups
have an `initial_lr`, which only a scheduler sets, and no scheduler's state is in the file; or, in a
run that is watched, such a state was loaded into an optimizer, and at its first step afterwards no
scheduler of it had been given a state or had taken a step; or a gradient scaler was in use that had
scaled nothing before, and was given no state. Or, a warning: a whole model was loaded from a file
and no optimizer was given a state, and the run then writes its own model and optimizer to that very
file. Note: something else is not there that a resume would
want (random states, the epoch or step, the state of the optimizer's parameters, the pointer of a
queue); in a run that is watched: no random state was set before the first step, or an average of
the weights was, bit for bit, a copy of what it averages, and moved with it then.

## Why it matters
Without the moments of its optimizer the first steps are taken as if all had just begun: the loss
jumps, and may not come back. A schedule that starts anew after a resume warms up again, or ends at
another learning rate; data and dropout repeat what the first epochs saw. A scaler that begins anew
leaves out steps until it has found its scale again, and an average forgets all that came before.
The run goes on, and is not the run that was stopped.

## What to do
Save what is missing next to the optimizer: `scheduler.state_dict()`, the epoch and step,
`torch.get_rng_state()` and those of CUDA, NumPy and Python.

## Limits
A file of weights alone is not meant to resume from and is not judged, nor is one of an optimizer
alone, as Transformers and Accelerate write it: give the folder. Whether the training used a
gradient scaler, an average of the weights or a bank cannot be told from a file that has none. A
schedule that is computed from the step (and not by a scheduler object) leaves no `initial_lr`. In a
run that is watched only schedulers of torch are looked at; one that is told where to begin
(`last_epoch`), or is stepped there, is left alone. Random states are heard of where the program is
watched from its first line and resumes before its first step; a generator's own state is not. Of
averages only those in modules are seen, of a class that the model has too.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#torch.optim.lr_scheduler.LRScheduler (sets
  `initial_lr` in every group)
- https://docs.pytorch.org/docs/stable/notes/randomness.html
"""

from collections.abc import Iterator
from os.path import normpath
from typing import Any

import msgspec

from stepscope.core import Finding, Findings, NotJudged, Place, Related, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import (
    CheckpointFile,
    Counter,
    GroupFacts,
    Lack,
    OptimizerFacts,
    TensorFacts,
)
from stepscope.evidence.checkpoints import Checkpoints, Load, OptimizerLoad
from stepscope.evidence.course.resumed_beside import ResumesBeside
from stepscope.evidence.course.resumes import SchedulesResumed
from stepscope.evidence.course.saves import Saved, Saves
from stepscope.evidence.course.teachers import FOLLOWED, TeacherCurves, TeachersFound


@rule("CKP005", Severity.WARNING)
def resume_incomplete(
    file: CheckpointFile | None,
    resumes: SchedulesResumed | None,
    beside: ResumesBeside | None,
    teachers: TeachersFound | None,
    curves: TeacherCurves | None,
    checkpoints: Checkpoints | None,
    saves: Saves | None,
) -> Findings:
    goes_on = list(_without_the_optimizer(checkpoints, saves)) if checkpoints and saves else []
    yield from goes_on
    if resumes is None and beside is None and file is None and not goes_on:
        raise NotJudged("needs a checkpoint file (`inspect`), or an optimizer that is resumed")
    if resumes is not None:
        yield from _started_anew(resumes)
    if beside is not None:
        yield from _left_behind(beside)
        if teachers is not None and curves is not None:
            yield from _averages(beside, teachers, curves)
    if file is None:
        return
    if not file.is_resumable:
        raise NotJudged("the file has no optimizer: it is not meant to resume from")
    if not file.model:
        raise NotJudged("the file has an optimizer and no model: the rest is in other files")
    proved = [each for each in file.lacks if each.is_proved]
    others = [each for each in file.lacks if not each.is_proved]
    for each in proved:
        yield _finding(file, each.what, each.why, None)
    if others:
        names = ", ".join(each.what for each in others)
        yield _finding(file, names, "; ".join(each.why for each in others), Severity.NOTE)


def _without_the_optimizer(checkpoints: Checkpoints, saves: Saves) -> Iterator[Finding]:
    """Tell a resume from a start with other weights, by the file that the run goes on to write."""
    for load in checkpoints.loads if not checkpoints.optimizer_loads else ():
        is_whole = load.matched == load.total and not load.raised and not load.from_this_run
        written = [
            (step, each)
            for step, each in saves.seen
            if load.path and each.optimizers and normpath(each.path) == normpath(load.path)
        ]
        if is_whole and written:
            step, saved = written[0]
            yield Finding(
                subject=f"the optimizer of {load.module or 'the model'}",
                message="begins anew, while its model was resumed",
                measured=f"all {load.total} tensors of the model came from {load.path}, to which"
                f" the run wrote model and optimizer after {step} steps; no optimizer was given a"
                " state",
                expected="optimizer.load_state_dict(...) beside model.load_state_dict(...)",
                at=load.at,
                related=(Related("written here", saved.at),),
            )


def _started_anew(resumes: SchedulesResumed) -> Findings:
    for step, each in resumes.seen:
        if each.loaded or each.furthest > 0:
            continue
        counted = "" if each.steps is None else f" of {each.steps} steps"
        yield Finding(
            subject=f"{', '.join(dict.fromkeys(each.schedulers))} of {each.kind} {each.optimizer}",
            message="begins anew, while its optimizer was resumed",
            measured=(
                f"a state{counted} was loaded into the optimizer before step {step}, with the"
                " initial_lr of a scheduler; no scheduler was given a state, and all stand at 0"
            ),
            expected="scheduler.load_state_dict(...) beside optimizer.load_state_dict(...)",
            at=each.at,
            related=(Related("made here", each.made_at),),
        )


def _left_behind(beside: ResumesBeside) -> Findings:
    for step, each in beside.seen:
        resumed = f"a state of {each.steps} steps was loaded into the optimizer before step {step}"
        if each.scalers_loaded < each.scalers:
            yield Finding(
                subject=f"gradient scaler of {each.kind} {each.optimizer}",
                message="begins anew, while the optimizer was resumed",
                measured=f"{resumed}; {each.scalers - each.scalers_loaded} of {each.scalers}"
                " scalers in use were given no state",
                expected="scaler.load_state_dict(...) beside optimizer.load_state_dict(...)",
                at=each.at,
            )
        if each.random_restored is False:
            yield Finding(
                subject="random states",
                message="begin anew, while the optimizer was resumed",
                measured=f"{resumed}; no random state was set by then",
                expected="torch.set_rng_state(...) and those of CUDA, NumPy and Python",
                at=each.at,
                severity=Severity.NOTE,
            )


def _averages(beside: ResumesBeside, teachers: TeachersFound, curves: TeacherCurves) -> Findings:
    loads = dict(beside.seen)
    for step, teacher in teachers.seen:
        follows = any(moved > 0 for _, moved in curves.of(teacher.name, FOLLOWED))
        if step in loads and teacher.gap == 0 and follows:
            yield Finding(
                subject=teacher.name,
                message=f"begins anew as a copy of {teacher.student},"
                " while the optimizer was resumed",
                measured=f"equal at step {step}, before which a state of {loads[step].steps} steps"
                " was loaded into the optimizer",
                expected="the average that was there when the state was saved",
                at=loads[step].at,
                severity=Severity.NOTE,
            )


def _finding(file: CheckpointFile, what: str, why: str, severity: Severity | None) -> Finding:
    return Finding(
        subject=file.path,
        message=f"carries an optimizer to resume, and has no {what}",
        measured=why,
        expected="all that changes from step to step, saved together",
        severity=severity,
    )


def fails_when_the_scheduler_is_not_in_the_file(watch: Watch) -> None:
    why = "its 1 parameter groups have an initial_lr, which a scheduler sets"
    watch.saw(_saved(Lack(what="scheduler", why=why, is_proved=True)))


def fails_with_a_note_when_only_the_random_state_is_missing(watch: Watch) -> None:
    why = "data order, dropout and augmentation will not go on where they stopped"
    watch.saw(_saved(Lack(what="random state", why=why, is_proved=False)))


def _goes_on(
    *, read: str, written: str = "out/last.pth", matched: int = 4, with_optimizer: bool = False
) -> tuple[Checkpoints, Saves]:
    """Show a model that was loaded, and a file that the run wrote after 20 steps."""
    load = Load(
        module="Detector", path=read, strict=True, in_file=4, matched=matched, total=4,
        matched_bytes=64, total_bytes=64, missing=(), unexpected=(), mismatched=(),
        at=Place(line=7),
    )  # fmt: skip
    given = OptimizerLoad(optimizer="AdamW", path=read, numbers=(), at=Place(line=8))
    saved = Saved(path=written, tensors=12, parameters=4, held=4, optimizers=1, compiled=False)
    optimizers = (given,) if with_optimizer else ()
    return (
        Checkpoints(tried=(), loads=(load,), optimizer_loads=optimizers),
        Saves(seen=((20, saved),), count=1),
    )


def fails_when_the_run_goes_on_in_the_file_of_which_it_took_the_model_alone(watch: Watch) -> None:
    watch.saw(*_goes_on(read="./out/last.pth"))


def skips_when_it_goes_on_in_another_file(watch: Watch) -> None:
    watch.saw(*_goes_on(read="stage1/last.pth"))


def skips_when_its_optimizer_was_given_a_state(watch: Watch) -> None:
    watch.saw(*_goes_on(read="out/last.pth", with_optimizer=True))


def skips_when_the_model_took_a_part_of_the_file(watch: Watch) -> None:
    watch.saw(*_goes_on(read="out/last.pth", matched=3))


def _beside(**facts: Any) -> ResumesBeside:
    from stepscope.evidence.course.resumed_beside import ResumedBeside

    plain = {"scalers": 0, "scalers_loaded": 0, "random_restored": True}
    told = ResumedBeside(optimizer=0, kind="AdamW", steps=90, **(plain | facts))
    return ResumesBeside(seen=((0, told),), count=1)


def fails_when_one_of_two_scalers_is_given_no_state(watch: Watch) -> None:
    watch.saw(_beside(scalers=2, scalers_loaded=1))


def passes_when_both_scalers_are_given_a_state(watch: Watch) -> None:
    watch.saw(_beside(scalers=2, scalers_loaded=2))


def fails_with_a_note_when_no_random_state_is_set(watch: Watch) -> None:
    watch.saw(_beside(random_restored=False))


def passes_when_random_states_could_not_be_seen(watch: Watch) -> None:
    watch.saw(_beside(random_restored=None))


def _averaged(gap: float, *, followed: float = 0.1) -> tuple[TeachersFound, TeacherCurves]:
    from stepscope.evidence.course.series import Series
    from stepscope.evidence.course.teachers import TeacherFound

    found = TeacherFound(name="average", student="net", gap=gap)
    return (
        TeachersFound(seen=((0, found),), count=1),
        TeacherCurves(series={"average followed": Series((1, 2), (0.0, followed))}),
    )


def fails_with_a_note_when_the_average_is_a_new_copy(watch: Watch) -> None:
    watch.saw(_beside(), *_averaged(0.0))


def passes_when_the_average_lags_behind(watch: Watch) -> None:
    watch.saw(_beside(), *_averaged(1e-7))


def passes_when_the_copy_does_not_move(watch: Watch) -> None:
    watch.saw(_beside(), *_averaged(0.0, followed=0.0))


def _resumed(*, scheduler_too: bool, last_epoch: int = -1) -> None:
    import torch

    def made(last: int = -1) -> tuple[Any, Any, Any]:
        model = torch.nn.Linear(4, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
        if last >= 0:
            optimizer.load_state_dict(saved)
        return model, optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 10, last_epoch=last)

    model, optimizer, scheduler = made()
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()
    scheduler.step()
    saved, position = optimizer.state_dict(), scheduler.state_dict()
    model, optimizer, scheduler = made(last_epoch)
    optimizer.load_state_dict(saved)
    if scheduler_too:
        scheduler.load_state_dict(position)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def fails_when_a_run_resumes_the_optimizer_and_not_its_scheduler(_: Watch) -> None:
    _resumed(scheduler_too=False)


def passes_when_a_run_resumes_both(_: Watch) -> None:
    _resumed(scheduler_too=True)


def passes_when_the_scheduler_is_told_where_to_begin(_: Watch) -> None:
    _resumed(scheduler_too=False, last_epoch=0)


def skips_when_nothing_is_resumed(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    model(torch.ones(3, 4)).sum().backward()
    optimizer.step()


def passes_when_nothing_is_missing(watch: Watch) -> None:
    watch.saw(_saved())


def skips_when_the_file_has_weights_only(watch: Watch) -> None:
    watch.saw(
        CheckpointFile(path="best.pth", format="torch", writer="torch.save", nbytes=100, tensors=())
    )


def skips_when_the_file_has_an_optimizer_alone(watch: Watch) -> None:
    watch.saw(msgspec.structs.replace(_saved(), tensors=()))


def _saved(*lacks: Lack) -> CheckpointFile:
    weight = TensorFacts(name="head.weight", part="model", shape=(2,), dtype="float32", nbytes=8)
    group = GroupFacts(index=0, parameters=("head.weight",), lr=1e-3, initial_lr=1e-3)
    optimizer = OptimizerFacts(path="optimizer", groups=(group,), slots=(), names_from="the file")
    return CheckpointFile(
        path="last.pth", format="torch", writer="torch.save", nbytes=100, tensors=(weight,),
        optimizers=(optimizer,), counters=(Counter(name="epoch", value=3),), lacks=lacks,
    )  # fmt: skip
