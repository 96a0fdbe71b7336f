"""A checkpoint is kept as the best, by what should not have chosen it.

## What it proves
A file whose name says *best* was written with trained parameters, and until then no evaluation had
run: no forward without gradients outside the steps, no batch of another data set than those that
feed the steps. Warning: the number in its name is the loss of one mini-batch, that of the last
step; or the metric in the names of three best files on end gets worse each time. Note: nothing was
evaluated, and where the choice came from is not known. Or, a warning: between the steps where a
best file was written, each time, one data set and no other was evaluated, and the program itself
calls it the test set: by the names of variables, or as the data set's own split.

The same of a checkpoint that a framework keeps as the best, whatever its name: Lightning's
`ModelCheckpoint`, the Trainer of Transformers, MMEngine's `CheckpointHook`. Warning: it is told to
keep the smallest value of what is better the larger it is, or the other way round, as the name of
the metric says; or Lightning's goes by a number that the training step logs, and no validation,
though there is one, or that of the last mini-batch. Note: so it does where there is none.

## Why it matters
The loss of a mini-batch says which batch was easy. The loss on training data falls while the model
overfits: the last checkpoint is then the best one by construction. What is reported as the best
model was chosen at random. What was chosen by the test set has been fitted to it: its score there
is no longer that of unseen data, the more so the more often one chose.

## What to do
Evaluate on held-out data at the end of each epoch, and keep the checkpoint with the best metric.
Compare in the metric's direction: larger is better for an accuracy, smaller for a loss
(`ModelCheckpoint` keeps the smallest where no `mode` is given; Transformers keeps the largest of
all whose name does not end in "loss"). Take a part of the training data for the choice, and the
test set once, at the end.

## Limits
Only files written by `torch.save` or safetensors under a name are judged, in a run whose steps are
fed by a DataLoader and that compiles nothing. An evaluation in another process is not seen. Where
passes without gradients belong to most steps (reinforcement learning, pseudo-labels) they may be
what the choice goes by, and nothing is judged. Which loss a step had is known for sampled steps
only. A test set is one that a variable, or a key, calls so where its DataLoader is asked for a
batch, and nothing calls otherwise; or that says so itself (`split="test"`, torchvision's
`train=False`). Held-out data that comes from no DataLoader is not seen beside it, and files whose
name speaks of validation are left alone. So is a metric of the training step that does, and a
`ModelCheckpoint` that keeps all, or has another beside it that goes by another metric. What is
logged at the end of an epoch may come from anywhere, and a metric whose name says neither that it
rises nor that it falls may be a count of steps, or a reward.

## Sources
- Prechelt, "Early Stopping - But When?" (1998): why the training error cannot choose.
"""

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePath

from stepscope.core import Finding, Findings, NotJudged, Place, Related, Severity, Watch, rule
from stepscope.evidence.course.best_kept import BestKept, BestsKept, larger_is_better
from stepscope.evidence.course.coverage import LoaderBeginnings
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.evaluations import Evaluations, PassBelongs, PassesInSteps
from stepscope.evidence.course.held_out import HeldOutPass, HeldOutPasses
from stepscope.evidence.course.loss_curves import LossCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.saves import Saved, Saves

NUMBER = re.compile(r"\d+\.\d+")
RISES = r"acc|accuracy|m?ap|f1|m?iou|dice|auc|recall|precision|psnr|ssim|bleu|rank1|top1|r1"
FALLS = r"loss|err|error|mae|mse|rmse|fid|ppl|perplexity|wer|cer"
METRIC = re.compile(rf"(?<![a-z])(?:({RISES})|({FALLS}))[_=:-]?(-?\d+\.\d+)")
OTHER = re.compile(r"(?<![a-z])(val|valid|validation|dev)(?![a-z])")
WORSE = 2  # times on end that a metric gets worse


@rule("CKP008", Severity.WARNING)
def selected_by_training_loss(
    saves: Saves | None,
    bests: BestsKept | None,
    loaders: LoaderBeginnings | None,
    evaluations: Evaluations | None,
    passes: PassesInSteps | None,
    held_out: HeldOutPasses | None,
    losses: LossCurves | None,
    progress: Progress,
    endings: Endings | None,
) -> Findings:
    known = math.inf if endings is not None else progress.step  # evaluations are told a step later
    saved = saves.seen if saves is not None else ()
    best = [(step, each) for step, each in saved if _is_best(each) and step < known]
    chosen = [(step, each) for step, each in bests.seen if step < known] if bests else []
    if not best and not chosen:
        raise NotJudged("no checkpoint was kept as the best, by its name or by a framework")
    by_setting: dict[str, list[tuple[int, BestKept]]] = {}
    for step, choice in chosen:
        by_setting.setdefault(choice.by, []).append((step, choice))
    for choices in by_setting.values():
        yield from _told_to_choose(choices[-1][1])
    wrong = list(_wrong_direction(best))
    yield from wrong
    if held_out is not None:
        yield from _on_the_test_set(
            [(step, _template(each), each) for step, each in best], held_out
        )
        for by, choices in by_setting.items():
            yield from _on_the_test_set([(step, by, each) for step, each in choices], held_out)
    seen = evaluations.seen if evaluations is not None else ()
    evaluated = [each.evaluated for _, each in seen]
    first = min(filter(None, evaluated), default=math.inf)  # at step 0: a look if it works at all
    blind = [(step, each) for step, each in best if step < first]
    reasons = {
        "no DataLoader feeds the steps": loaders is None,
        "passes without gradients belong to the steps: the choice may go by them": passes,
        "with torch.compile evaluations cannot be seen": any(each.compiled for _, each in blind),
    }
    reason = next((reason for reason, is_true in reasons.items() if is_true), None)
    if blind and reason is None:
        yield _not_evaluated(blind, losses)
    elif blind and not wrong:
        raise NotJudged(str(reason))


def _is_best(saved: Saved) -> bool:
    return saved.parameters > 0 and "best" in _name(saved)


def _name(saved: Saved) -> str:
    return PurePath(saved.path).name.lower()


def _template(saved: Saved) -> str:
    return re.sub(r"\d+", "#", PurePath(saved.path).name)


def _told_to_choose(choice: BestKept) -> Iterator[Finding]:
    """Judge what a framework is told to choose by, from its settings."""
    better = larger_is_better(choice.metric)
    if better is not None and better != choice.larger:
        yield Finding(
            subject=choice.by,
            message=f"keeps the worst as the best, as {choice.metric} is better"
            f" the {'larger' if better else 'smaller'} it is",
            measured=f"the {'largest' if choice.larger else 'smallest'} value chooses",
            expected=choice.right,
            at=choice.at,
        )
    measures = better is not None and not OTHER.search(choice.metric.lower())  # no count of steps
    if choice.is_from_training and choice.decides and measures:
        is_known = choice.is_of_one_batch or choice.validates
        yield Finding(
            subject=choice.by,
            message="chooses the best checkpoint by "
            + ("a single mini-batch" if choice.is_of_one_batch else "the training data"),
            measured=f"{choice.metric} is logged by the training step, and by no validation"
            + ("" if choice.validates else ", as there is none"),
            expected="a metric that is logged in the validation",
            at=choice.at,
            severity=None if is_known else Severity.NOTE,
        )


def _not_evaluated(blind: list[tuple[int, Saved]], losses: LossCurves | None) -> Finding:
    last = blind[-1][1]
    steps = ", ".join(str(step) for step, _ in blind[:8])
    total = dict(losses.series["total"]) if losses is not None and "total" in losses.series else {}
    by_chance = [
        (step, number)
        for step, each in blind
        for number in NUMBER.findall(_name(each))
        if _is_rounded(number, total.get(step - 1, math.nan))
    ]
    measured = f"written after {steps} steps; until then no forward without gradients"
    if by_chance:
        step, number = by_chance[0]
        measured += f"; {number} in its name is the loss of the mini-batch of step {step - 1}"
    return Finding(
        subject=_template(last),
        message=(
            "is kept as the best by the loss of one mini-batch"
            if by_chance
            else "is kept as the best, and nothing was evaluated"
        ),
        measured=measured,
        expected="an evaluation on held-out data before each choice",
        at=last.at,
        severity=None if by_chance else Severity.NOTE,
    )


def _is_rounded(number: str, value: float) -> bool:
    return f"{value:.{len(number.partition('.')[2])}f}" == number


def _wrong_direction(best: list[tuple[int, Saved]]) -> Iterator[Finding]:
    """Compare the metrics in names that differ in nothing but their numbers."""
    alike: dict[str, list[Saved]] = {}
    for _, each in best:
        alike.setdefault(re.sub(r"\d+", "#", _name(each)), []).append(each)
    for template, files in alike.items():
        found = [match for each in files if (match := METRIC.search(_name(each)))]
        values = [float(match[3]) for match in found]
        rises = bool(found and found[0][1])
        worse = [(new < old) if rises else (new > old) for old, new in pairwise(values)]
        if any(all(worse[i : i + WORSE]) for i in range(len(worse) - WORSE + 1)):
            yield Finding(
                subject=template,
                message=f"is kept as the best while its {found[0][1] or found[0][2]} gets worse",
                measured=", then ".join(match[3] for match in found[:8]),
                expected="larger values for the better" if rises else "smaller ones for the better",
                at=files[-1].at,
            )


def _on_the_test_set(
    best: list[tuple[int, str, Saved | BestKept]], held_out: HeldOutPasses
) -> Iterator[Finding]:
    """Judge choices, each with its step and what it is called."""
    by_step: dict[int, list[HeldOutPass]] = {}
    for _, each in held_out.seen:
        by_step.setdefault(each.evaluated, []).append(each)
    chosen_by = [each for step, *_ in best for each in by_step.get(step, ())]
    is_known = all(step in by_step for step, *_ in best)
    files = [name for _, name, each in best if isinstance(each, Saved)]  # Lightning calls it val_
    is_named_otherwise = any(OTHER.search(name.lower()) for name in files)
    is_test = len({each.data for each in chosen_by}) == 1 and all(
        each.called_test for each in chosen_by
    )
    if is_known and is_test and not is_named_otherwise:
        (_, name, last), data = best[-1], chosen_by[-1]
        yield Finding(
            subject=name,
            message=("is kept as" if isinstance(last, Saved) else "chooses")
            + " the best, where nothing but the test set is evaluated",
            measured=(
                f"written after {', '.join(str(step) for step, *_ in best[:8])} steps, and"
                f" {data.kind} ({data.size} samples), {data.called_test}, evaluated there"
            ),
            expected="a choice by other held-out data",
            at=last.at,
            related=(Related("evaluated", data.at),),
        )


def _trained(*, saved: str, evaluates: bool = False) -> None:
    import tempfile

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
    for (batch,) in loader:
        optimizer.zero_grad()
        loss = model(batch).square().mean()
        loss.backward()
        optimizer.step()
    if evaluates:
        with torch.no_grad():
            model(torch.randn(3, 4))
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), f"{folder}/{saved.format(float(loss.detach()))}")


def fails_when_the_loss_of_the_last_batch_chooses(_: Watch) -> None:
    _trained(saved="best_loss{:.4f}.pth")


def fails_as_a_note_when_nothing_was_evaluated(_: Watch) -> None:
    _trained(saved="best.pth")


def fails_when_an_accuracy_falls_from_best_to_best(watch: Watch) -> None:
    watch.saw(_saves("best_acc0.81.pth", "best_acc0.80.pth", "best_acc0.79.pth"))


def fails_when_a_loss_rises_from_best_to_best(watch: Watch) -> None:
    watch.saw(_saves("best_val_loss0.5.pth", "best_val_loss0.6.pth", "best_val_loss0.7.pth"))


def passes_when_an_accuracy_falls_once(watch: Watch) -> None:
    watch.saw(_saves("best_acc0.81.pth", "best_acc0.80.pth", "best_acc0.82.pth"))
    _trained(saved="last.pth", evaluates=True)


def passes_when_the_model_is_evaluated_first(_: Watch) -> None:
    _trained(saved="best_loss{:.4f}.pth", evaluates=True)


def _chosen(*, by: str, besides: bool = False, saved: str = "best.pth") -> None:
    import tempfile

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    def evaluate(loader: DataLoader[tuple[torch.Tensor, ...]]) -> None:
        model.eval()
        with torch.no_grad():
            for (batch,) in loader:
                model(batch)
        model.train()

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
    loaders = {
        by: DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3),
        "other": DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3),
    }
    with tempfile.TemporaryDirectory() as folder:
        for _epoch in range(2):
            for (batch,) in train:
                optimizer.zero_grad()
                model(batch).square().mean().backward()
                optimizer.step()
            evaluate(loaders[by])
            if besides:
                evaluate(loaders["other"])
            torch.save(model.state_dict(), f"{folder}/{saved}")


def fails_when_only_the_test_set_is_evaluated_where_the_best_is_kept(_: Watch) -> None:
    _chosen(by="test")


def passes_when_other_data_is_evaluated_beside_the_test_set(_: Watch) -> None:
    _chosen(by="test", besides=True)


def passes_when_the_data_is_called_validation(_: Watch) -> None:
    _chosen(by="val")


def passes_when_the_file_says_that_it_was_validation(_: Watch) -> None:
    _chosen(by="test", saved="best_val.pth")


def fails_when_a_framework_keeps_the_smallest_accuracy(watch: Watch) -> None:
    watch.saw(_choices("val_acc", larger=False))


def fails_when_a_framework_goes_by_the_loss_of_the_training_step(watch: Watch) -> None:
    watch.saw(_choices("train_loss", larger=False, is_from_training=True))


def passes_when_a_framework_keeps_the_largest_accuracy(watch: Watch) -> None:
    watch.saw(_choices("val_acc", larger=True))


def skips_when_no_file_is_called_the_best(_: Watch) -> None:
    _trained(saved="last_loss{:.4f}.pth")


def skips_when_passes_without_gradients_belong_to_the_steps(watch: Watch) -> None:
    _trained(saved="best_loss{:.4f}.pth")
    watch.saw(PassesInSteps(seen=((2, PassBelongs()),), count=1))


def skips_when_no_loader_feeds_the_steps(_: Watch) -> None:
    import tempfile

    import torch

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    model(torch.randn(3, 4)).square().mean().backward()
    optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        torch.save(model.state_dict(), f"{folder}/best.pth")


def _saves(*paths: str) -> Saves:
    seen = tuple(
        (
            10 * step,
            Saved(
                path=path, tensors=2, parameters=2, held=2, optimizers=0, compiled=False,
                at=Place(file="train.py", line=50),
            ),
        )
        for step, path in enumerate(paths, 1)
    )  # fmt: skip
    return Saves(seen=seen, count=len(seen))


def _choices(metric: str, *, larger: bool, is_from_training: bool = False) -> BestsKept:
    mode, other = ("max", "min") if larger else ("min", "max")
    choice = BestKept(
        by=f"ModelCheckpoint(monitor={metric!r}, mode={mode!r})", metric=metric, larger=larger,
        right=f"mode={other!r}", is_from_training=is_from_training, is_of_one_batch=False,
        validates=True, decides=True, at=Place(file="train.py", line=60),
    )  # fmt: skip
    return BestsKept(seen=((10, choice),), count=1)
