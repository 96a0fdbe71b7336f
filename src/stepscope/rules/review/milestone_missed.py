"""A number that was to be reached by now has not been reached.

## What it proves
When a declared milestone fell due, the number it names did not keep its bound. `epoch 5: acc > 0.2`
falls due when five epochs are over, `step 50: loss_region < 0.72 of chance` when fifty optimizer
steps were taken. A number that the program logs counts as it was logged last; the loss of a step,
which is that of one batch, as the mean over the last tenth of the steps until then. `of chance` is
a share of ln N, the cross-entropy of equal probabilities over the N candidates of that very step:
it means the same when N changes, as with the batch size or the number of boxes.

## Why it matters
Most failures of a long run can be seen early by anyone who knows where it ought to be by then. The
author knows, and is not looking; a declared trajectory looks for him.

## What to do
Compare with a run that did well: is it the data, the learning rate, a part that does not train?
Stop early rather than late. Correct the milestone if it was too bold.

## Limits
A name that nobody has logged by then is a note, and so is a milestone of which nothing can be told
when the run is over and others were judged. Names are those of `add_scalar`, of the framework's
logger, of `run.log`, or of the losses in the dictionary that the model returns; the last part is
enough where it is the only one (`acc` for `val/acc`). Ends of epochs are known from callbacks and
from `run.epoch`. N is known where the loss is the value of a call of `cross_entropy`, or where all
such calls of the step have the same N; else the milestone is skipped. Steps are those of this run:
after a resume they count anew.

## Sources
- Cross-entropy of equal probabilities: -ln(1 / N) = ln N.
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.chance import ChanceCurves
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.epochs import EpochEnded, EpochEnds
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series
from stepscope.evidence.course.trajectory import Trajectory, UnknownName, Untold
from stepscope.evidence.intent import Intent
from stepscope.evidence.milestones import Milestone, parsed


@rule("RUN002", Severity.WARNING)
def milestone_missed(
    intent: Intent,
    progress: Progress,
    metrics: MetricCurves | None,
    losses: LossCurves | None,
    chance: ChanceCurves | None,
    ends: EpochEnds | None,
    endings: Endings | None,
) -> Findings:
    if not intent.milestones:
        raise NotJudged("no milestones are declared")
    trajectory = Trajectory(progress, metrics, losses, chance, ends)
    table: list[str] = []
    missed: list[tuple[Milestone, str]] = []
    untold: list[tuple[Milestone, str]] = []
    for milestone in map(parsed, intent.milestones):
        try:
            actual = trajectory.at(milestone)
        except Untold as why:
            untold.append((milestone, str(why)))
            continue
        except UnknownName as why:
            yield _unknown(milestone, str(why))
            continue
        said = f"{milestone.name} {actual.said} at step {actual.step}"
        if milestone.holds(actual.value):
            table.append(f"{milestone.text}: {actual.said}, kept")
        else:
            missed.append((milestone, said))
            table.append(f"{milestone.text}: {actual.said}, missed")
    for milestone, said in missed:
        others = [each for each in table if not each.startswith(f"{milestone.text}:")]
        yield Finding(
            subject=milestone.text,
            message="was not reached when it fell due",
            measured="; ".join([said, *others]),
            expected=f"{milestone.name} {milestone.sign} {milestone.bound:g}"
            + (" of chance" if milestone.of_chance else "")
            + f" after {milestone.when}",
        )
    if len(untold) == len(intent.milestones):
        raise NotJudged(untold[0][1])
    if endings is not None and endings.steps is not None:
        yield from (_not_judged(milestone, why) for milestone, why in untold)


def _not_judged(milestone: Milestone, why: str) -> Finding:
    return Finding(
        subject=milestone.text,
        message="was not judged, and the run is over",
        measured=why,
        expected=f"a run that tells when {milestone.when} is over, and {milestone.name} by then",
        severity=Severity.NOTE,
    )


def _unknown(milestone: Milestone, why: str) -> Finding:
    return Finding(
        subject=milestone.text,
        message="could not be held against the run: it names a number that was not seen by then",
        measured=why,
        expected=f"a number {milestone.name} that is logged before {milestone.when} is over",
        severity=Severity.NOTE,
    )


def fails_when_accuracy_is_just_below_its_milestone(watch: Watch) -> None:
    watch.saw(
        Intent(milestones=("epoch 1: acc > 0.1", "epoch 2: acc > 0.2")),
        _progress(200),
        MetricCurves(series={"val/acc": Series((100, 200), (0.15, 0.2))}),
        _two_epochs(),
    )


def passes_when_accuracy_is_just_above_its_milestone(watch: Watch) -> None:
    watch.saw(
        Intent(milestones=("epoch 1: acc > 0.1", "epoch 2: acc > 0.2")),
        _progress(200),
        MetricCurves(series={"val/acc": Series((100, 200), (0.15, 0.201))}),
        _two_epochs(),
    )


def fails_when_a_loss_stays_at_chance_though_fewer_candidates_make_it_fall(watch: Watch) -> None:
    watch.saw(Intent(milestones=("step 6: total < 0.72 of chance",)))
    _contrast(sizes=(32, 32, 32, 4, 4, 4, 4), scale=0.0)


def passes_when_a_loss_is_far_below_chance_though_more_candidates_make_it_rise(
    watch: Watch,
) -> None:
    watch.saw(Intent(milestones=("step 6: total < 0.72 of chance",)))
    _contrast(sizes=(2, 2, 2, 4, 4, 4, 4), scale=20.0)


def passes_when_the_mean_over_the_last_batches_is_low_and_one_of_them_is_not(watch: Watch) -> None:
    values = (*[1.0] * 90, *[0.4] * 9, 0.9)
    watch.saw(
        Intent(milestones=("step 100: loss_box < 0.5",)),
        _progress(100),
        LossCurves(series={"loss_box": Series(tuple(range(100)), values)}),
    )


def fails_with_a_note_when_nobody_logs_what_a_milestone_names(watch: Watch) -> None:
    watch.saw(
        Intent(milestones=("step 50: accuracy > 0.5",)),
        _progress(50),
        MetricCurves(series={"val/acc": Series((50,), (0.9,))}),
    )


def fails_with_a_note_when_the_run_is_over_before_one_of_two_fell_due(watch: Watch) -> None:
    from stepscope.evidence.course.endings import RunEnded

    watch.saw(
        Intent(milestones=("step 50: acc > 0.1", "step 500: acc > 0.5")),
        _progress(100),
        MetricCurves(series={"acc": Series((50,), (0.2,))}),
        Endings(seen=((100, RunEnded(finished=True)),), count=1),
    )


def skips_when_no_milestone_is_declared(watch: Watch) -> None:
    watch.saw(_progress(100))


def skips_when_a_milestone_is_not_due(watch: Watch) -> None:
    watch.saw(
        Intent(milestones=("step 101: acc > 0.5",)),
        _progress(100),
        MetricCurves(series={"acc": Series((100,), (0.1,))}),
    )


def skips_when_no_end_of_an_epoch_is_known(watch: Watch) -> None:
    watch.saw(
        Intent(milestones=("epoch 1: acc > 0.5",)),
        _progress(100),
        MetricCurves(series={"acc": Series((100,), (0.1,))}),
    )


def skips_when_the_candidates_are_not_known(watch: Watch) -> None:
    watch.saw(
        Intent(milestones=("step 50: loss_region < 0.72 of chance",)),
        _progress(50),
        LossCurves(series={"loss_region": Series((49,), (5.0,))}),
    )


def _progress(step: int) -> Progress:
    return Progress(first=0, step=step, sampled=step, seconds=1.0)


def _two_epochs() -> EpochEnds:
    return EpochEnds(seen=((100, EpochEnded(number=0)), (200, EpochEnded(number=1))), count=2)


def _contrast(*, sizes: tuple[int, ...], scale: float) -> None:
    """Train with as many candidates as each step has rows, at one rate: 0."""
    import torch

    model = torch.nn.Linear(4, 4)
    torch.nn.init.eye_(model.weight)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    for size in sizes:
        optimizer.zero_grad()
        inputs = torch.eye(4).repeat(8, 1)[:size]
        logits = scale * model(inputs) @ inputs.T
        torch.nn.functional.cross_entropy(logits, torch.arange(size)).backward()
        optimizer.step()
