"""What should choose between branches of a model makes no difference.

## What it proves
In two evaluations or more, the model was given the same tensors twice, with two values of an
argument or of an attribute, and what it returned had the same fingerprints both times. Or the
program logged two metrics whose names differ in one word, that of the branch, and they were equal
to the last bit in five evaluations on end, with four different values among them.

## Why it matters
The comparison that a table reports was never made: three rows are one model. A selector that is
read under another name, or overwritten further down, is the usual reason, and the branch that was
to be tested may not exist.

## What to do
Follow the selector from where it is set to the branch that it should choose, and compare the
features of one batch. If the branches are meant to agree, ignore this rule and say so.

## Limits
Compared are the first four calls of each pass of an evaluation, 16 in all, of one model, by up to
4096 elements of each tensor; selectors are words, truths, and integers that are arguments. Logged
metrics are compared where something is logged (`add_scalar`, `run.log`, a framework's logger), and
only where the word that differs names neither a metric, nor a cut-off, nor a way of averaging.

## Sources
- https://docs.pytorch.org/docs/stable/tensorboard.html (`add_scalar`)
"""

import re
from collections.abc import Iterator
from itertools import combinations

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.compared_calls import CallsCompared, ComparedCalls
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series

EVALUATIONS = 2  # in which two calls gave the same
METRIC = re.compile(
    r"m?ap|m?iou|acc(uracy)?|f1|dice|auc|auroc|recall|precision|psnr|ssim|bleu|cmc|mae|mse|rmse|fid|"
    r"ppl|perplexity|wer|cer|miss|(top|rank|r)1"
)
HELD_OUT = re.compile(r"val(id(ation)?)?|test|eval(uation)?|dev")
NO_BRANCH = re.compile(
    r"step|epoch|best|last|max|min|mean|avg|average|std|ema|macro|micro|weighted|balanced|"
    r"loss|lr|time|(top|rank|r|k|p|m?ap|recall|precision|cmc|hits?|iou|ndcg|at)?\d+"
)


@rule("EVL005", Severity.WARNING)
def same_result_from_different_branches(
    _: Progress,
    calls: ComparedCalls | None,
    metrics: MetricCurves | None,
    *,
    evaluations: int = 5,  # in which two metrics agree: by chance, of 64 samples, once in 1000 runs
    values: int = 4,  # different ones among them: a metric that stands still agrees with any such
) -> Findings:
    pairs = list(_branches(metrics, evaluations)) if metrics is not None else []
    if calls is None and not pairs:
        raise NotJudged(
            f"no selector took two values on one batch, and no {evaluations} values were logged of"
            " two metrics that differ by a branch"
        )
    yield from _dead_selectors(calls)
    for one, other, common in pairs:
        agreed = [value for value, same in common if value == same]
        if len(agreed) == len(common) and len(set(agreed)) >= values:
            yield Finding(
                subject=f"{one} and {other}",
                message="are the same in each evaluation",
                measured=f"equal to the last bit {len(agreed)} times, from {agreed[0]:.4g}"
                f" to {agreed[-1]:.4g}",
                expected="a difference between two branches",
            )


def _dead_selectors(calls: ComparedCalls | None) -> Iterator[Finding]:
    alike: dict[tuple[str, str, tuple[str, str]], list[CallsCompared]] = {}
    for _, each in calls.seen if calls is not None else ():
        alike.setdefault((each.module, each.selector, each.values), []).append(each)
    dead: dict[tuple[str, str], list[CallsCompared]] = {}
    for (module, selector, _), same in alike.items():
        if all(each.same for each in same) and len(same) >= EVALUATIONS:
            dead.setdefault((module, selector), []).extend(same)
    for (module, selector), same in dead.items():
        of_values = ", ".join(dict.fromkeys(value for each in same for value in each.values))
        yield Finding(
            subject=module or f"the model ({same[0].kind})",
            message=f"gives one result whatever {selector} is",
            measured=(
                f"{same[0].tensors} tensors with equal fingerprints for {of_values}, on the same"
                f" batch, in evaluations after {same[0].evaluated} and {same[-1].evaluated} steps"
            ),
            expected="a difference between two branches",
            at=same[0].at,
        )


def _branches(
    metrics: MetricCurves, evaluations: int
) -> Iterator[tuple[str, str, list[tuple[float, float]]]]:
    """Yield names that differ by a branch, and their values in common evaluations."""
    known = [(name, _words(name)) for name in metrics.series if _is_of_evaluation(_words(name))]
    for (one, words), (other, other_words) in combinations(known, 2):
        if _differ_by_branch(words, other_words):
            common = _common(metrics.series[one], metrics.series[other])
            if len(common) >= evaluations:
                yield one, other, common


def _words(name: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[^a-z0-9]+", name.lower()) if word)


def _is_of_evaluation(words: tuple[str, ...]) -> bool:
    return any(METRIC.fullmatch(word) for word in words) or (
        "loss" in words and any(HELD_OUT.fullmatch(word) for word in words)
    )


def _differ_by_branch(words: tuple[str, ...], other: tuple[str, ...]) -> bool:
    if len(words) != len(other):
        return False
    apart = [pair for pair in zip(words, other, strict=True) if pair[0] != pair[1]]
    return len(apart) == 1 and not any(
        METRIC.fullmatch(word) or NO_BRANCH.fullmatch(word) for word in apart[0]
    )


def _common(one: Series, other: Series) -> list[tuple[float, float]]:
    values = dict(other)
    return [(value, values[step]) for step, value in one if step in values]


def _evaluated(patterns: str, *, epochs: int = 2, passes: bool = False) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    class Fused(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.visible, self.infrared = torch.nn.Linear(4, 4), torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor, pattern: str = "both") -> torch.Tensor:
            features = self.visible(x), self.infrared(x)
            if patterns == "heeded" and pattern != "both":
                return torch.as_tensor(features[pattern == "infrared"])
            fused: torch.Tensor = (features[0] + features[1]) / 2
            return fused

    model = Fused()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
    held_out = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
    for _epoch in range(epochs):
        model.train()
        for (batch,) in train:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for pattern in ("visible", "infrared", "both") if passes else ():
                for (batch,) in held_out:
                    model(batch, pattern=pattern)
            for (batch,) in held_out if not passes else ():
                model(batch, "visible"), model(batch, "infrared")


def _logged(watch: Watch, **curves: list[float]) -> None:
    steps = range(10, 100, 10)
    series = {
        name: Series(steps=tuple(steps)[: len(curve)], values=tuple(curve))
        for name, curve in curves.items()
    }
    watch.saw(MetricCurves(series=series))


def fails_when_no_pattern_changes_the_features(_: Watch) -> None:
    _evaluated("ignored")


def fails_when_each_pattern_is_evaluated_in_a_pass_of_its_own(_: Watch) -> None:
    _evaluated("ignored", passes=True)


def fails_when_two_metrics_agree_in_five_evaluations(watch: Watch) -> None:
    curve = [33.3, 49.3, 49.3, 55.1, 58.0]
    _logged(watch, pattern1_mAP=curve, pattern2_mAP=curve)


def passes_when_three_values_are_all_that_was_seen(watch: Watch) -> None:
    curve = [33.3, 49.3, 49.3, 49.3, 58.0]
    _logged(watch, pattern1_mAP=curve, pattern2_mAP=curve)


def passes_when_they_differ_in_one_evaluation(watch: Watch) -> None:
    curve = [33.3, 49.3, 51.0, 55.1, 58.0]
    _logged(watch, pattern1_mAP=curve, pattern2_mAP=[*curve[:4], 58.1])


def passes_when_the_pattern_changes_the_features(_: Watch) -> None:
    _evaluated("heeded")


def passes_when_the_same_was_given_in_one_evaluation_only(_: Watch) -> None:
    _evaluated("ignored", epochs=1)


def skips_when_four_evaluations_agree(watch: Watch) -> None:
    curve = [33.3, 49.3, 51.0, 55.1]
    _logged(watch, pattern1_mAP=curve, pattern2_mAP=curve)


def skips_when_the_names_differ_in_the_metric(watch: Watch) -> None:
    curve = [33.3, 49.3, 51.0, 55.1, 58.0]
    _logged(watch, val_acc=curve, val_f1=curve, val_recall_5=curve, val_recall_10=curve)
