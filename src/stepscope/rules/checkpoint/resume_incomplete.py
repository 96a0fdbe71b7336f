"""A checkpoint carries an optimizer, and lacks something else that an exact resume needs.

## What it proves
The file holds an optimizer's state, so it is meant to resume from. Warning: its parameter groups
have an `initial_lr`, which only a scheduler sets, and no scheduler's state is in the file. Note:
something else is not there that a resume would want (random states, the epoch or step, the state of
the optimizer's parameters, the pointer of a queue).

## Why it matters
A schedule that starts anew after a resume warms up again, or ends at another learning rate; data
and dropout repeat what the first epochs saw. The run goes on, and is not the run that was stopped.

## What to do
Save what is missing next to the optimizer: `scheduler.state_dict()`, the epoch and step,
`torch.get_rng_state()` and those of CUDA, NumPy and Python.

## Limits
A file of weights alone is not meant to resume from and is not judged, nor is one of an optimizer
alone, as Transformers and Accelerate write it: give the folder. Whether the training used a
gradient scaler, an average of the weights or a bank cannot be told from a file that has none. A
schedule that is computed from the step (and not by a scheduler object) leaves no `initial_lr`.

## Sources
- https://docs.pytorch.org/docs/stable/optim.html#torch.optim.lr_scheduler.LRScheduler (sets
  `initial_lr` in every group)
- https://docs.pytorch.org/docs/stable/notes/randomness.html
"""

import msgspec

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.checkpoint_file import (
    CheckpointFile,
    Counter,
    GroupFacts,
    Lack,
    OptimizerFacts,
    TensorFacts,
)


@rule("CKP005", Severity.WARNING)
def resume_incomplete(file: CheckpointFile) -> Findings:
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
