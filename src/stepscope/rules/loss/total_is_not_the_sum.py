"""The total that the program logs is not the weighted sum of the terms that it logs.

## What it proves
At ten steps and more at which the program has logged its total and all its terms, the total was not
the sum that the weights of the loss give, which were declared or read off the graph; it was, to a
thousandth, the same sum without one of the terms, or the sum without the weights.

## Why it matters
The curve that everybody looks at is not the function that is trained. A term that is missing in it
can rise unseen; runs with other weights cannot be compared.

## What to do
Log the very tensor on which `backward` was called, and the terms as they enter it.

## Limits
Judged only where one of these two explanations fits: a total that was averaged, smoothed or divided
by the accumulation is left alone. Total and terms must have been logged side by side ("train/loss"
beside "train/loss_cls"), the terms under the names that the model gives them or that are declared.
A missing term must make up more than a hundredth of the sum at each of these steps.

## Sources
- Sums of floats in another order differ by less than n * 2^-24 relative; a logger that rounds to
  four digits by 5e-5. A thousandth is beyond both.
"""

import math
from collections.abc import Mapping

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.metrics import MetricCurves
from stepscope.evidence.intent import Intent
from stepscope.evidence.loss_terms import LossTerms

TOTALS = ("loss", "total", "total_loss", "loss_total", "losses", "train_loss")
ENDINGS = ("_step", "_iter", "_batch")
EQUAL = 1e-3  # relative
APART = 1e-2

Rows = list[tuple[float, dict[str, float]]]  # for each step, the total and its terms


@rule("LOS005", Severity.WARNING)
def total_is_not_the_sum(
    metrics: MetricCurves, terms: LossTerms | None, intent: Intent | None, *, steps: int = 10
) -> Findings:
    weights = dict(intent.loss_weights) if intent is not None else {}
    if not weights and terms is not None:
        weights = {
            term.name: term.weight
            for term in terms.terms
            if term.named_by_model and term.weight is not None
        }
    if len(weights) < 2:  # noqa: PLR2004 - of a single term nothing can be missing
        raise NotJudged("needs two terms of the loss, and their weights")
    judged = False
    for name in metrics.series:
        group, _, last = name.rpartition("/")
        if _plain(last) not in TOTALS:
            continue
        rows = _rows(metrics, name, group, weights)
        if len(rows) < steps:
            continue
        judged = True
        if reason := _explanation(rows, weights):
            total, parts = rows[-1]
            yield Finding(
                subject=name,
                message=f"is not the weighted sum of the terms: it is the sum {reason}",
                measured=f"at {len(rows)} steps; the last: {total:.4g}, where "
                f"{_sum_of(parts, weights)} gives {_sum(parts, weights):.4g}",
                expected="the weighted sum of all terms",
            )
    if not judged:
        raise NotJudged(f"needs a total and its terms, logged side by side at {steps} steps")


def _rows(metrics: MetricCurves, total: str, group: str, weights: Mapping[str, float]) -> Rows:
    """Return total and terms of the steps at which all were logged; nothing if a term never was."""
    curves = {
        term: dict(curve)
        for name, curve in metrics.series.items()
        for term in weights
        if name.rpartition("/")[0] == group and _plain(name.rpartition("/")[2]) == term.lower()
    }
    if set(curves) != set(weights):
        return []
    return [
        (value, {term: curve[step] for term, curve in curves.items()})
        for step, value in metrics.series[total]
        if all(step in curve for curve in curves.values())
    ]


def _plain(name: str) -> str:
    name = name.lower()
    for ending in ENDINGS:
        name = name.removesuffix(ending)
    return name


def _explanation(rows: Rows, weights: Mapping[str, float]) -> str:
    """Say which other sum the total is at all steps, or nothing."""
    if any(_equal(total, _sum(parts, weights), APART) for total, parts in rows):
        return ""
    for left_out in weights:
        rest = {term: weight for term, weight in weights.items() if term != left_out}
        if all(_equal(total, _sum(parts, rest), EQUAL) for total, parts in rows):
            return f"without `{left_out}`"
    ones = dict.fromkeys(weights, 1.0)
    if all(_equal(total, _sum(parts, ones), EQUAL) for total, parts in rows):
        return "without the weights"
    return ""


def _sum(parts: Mapping[str, float], weights: Mapping[str, float]) -> float:
    return math.fsum(weight * parts[term] for term, weight in weights.items())


def _sum_of(parts: Mapping[str, float], weights: Mapping[str, float]) -> str:
    return " + ".join(f"{weight:g} x {parts[term]:.4g}" for term, weight in weights.items())


def _equal(one: float, other: float, within: float) -> bool:
    return math.isclose(one, other, rel_tol=within)


def _logged(share: float, steps: int) -> MetricCurves:
    """Return what a program logs that leaves `loss_aux` out, of which it is such a share."""
    from stepscope.evidence.course.series import Series

    every = tuple(range(steps))
    main = tuple(2.0 / (1 + step) for step in every)
    aux = tuple(value * share / (1 - share) / 0.5 for value in main)
    return MetricCurves(
        series={
            "train/loss": Series(every, main),
            "train/loss_main": Series(every, main),
            "train/loss_aux": Series(every, aux),
        }
    )


def fails_when_a_term_of_a_fiftieth_is_not_logged_with_the_total(watch: Watch) -> None:
    watch.saw(_logged(0.02, 10), Intent(losses={"loss_main": 1.0, "loss_aux": 0.5}))


def fails_when_the_weights_are_missing_in_what_is_logged(watch: Watch) -> None:
    from stepscope.evidence.course.series import Series

    every = tuple(range(10))
    watch.saw(
        MetricCurves(
            series={
                "train/loss_step": Series(every, tuple(3.0 + step for step in every)),
                "train/loss_main": Series(every, tuple(2.0 + step for step in every)),
                "train/loss_aux": Series(every, (1.0,) * 10),
            }
        ),
        Intent(losses={"loss_main": 1.0, "loss_aux": 0.5}),
    )


def passes_when_the_total_is_the_weighted_sum(watch: Watch) -> None:
    from stepscope.evidence.course.series import Series

    every = tuple(range(10))
    watch.saw(
        MetricCurves(
            series={
                "loss": Series(every, tuple(2.5 + step for step in every)),
                "loss_main": Series(every, tuple(2.0 + step for step in every)),
                "loss_aux": Series(every, (1.0,) * 10),
            }
        ),
        Intent(losses={"loss_main": 1.0, "loss_aux": 0.5}),
    )


def passes_when_the_term_left_out_is_less_than_a_hundredth(watch: Watch) -> None:
    watch.saw(_logged(0.009, 10), Intent(losses={"loss_main": 1.0, "loss_aux": 0.5}))


def passes_when_the_total_is_divided_by_the_accumulation(watch: Watch) -> None:
    from stepscope.evidence.course.series import Series

    every = tuple(range(10))
    watch.saw(
        MetricCurves(
            series={
                "loss": Series(every, tuple((2.5 + step) / 4 for step in every)),
                "loss_main": Series(every, tuple(2.0 + step for step in every)),
                "loss_aux": Series(every, (1.0,) * 10),
            }
        ),
        Intent(losses={"loss_main": 1.0, "loss_aux": 0.5}),
    )


def skips_nine_steps(watch: Watch) -> None:
    watch.saw(_logged(0.5, 9), Intent(losses={"loss_main": 1.0, "loss_aux": 0.5}))
