"""`GradScaler` leaves out more steps than its search for a scale explains.

## What it proves
Either (error) the scaler has left out the last 20 steps it was asked for, one after the other: the
gradients are inf or nan whatever the scale. Or (warning) after its first 50 steps it has left out
more than a twentieth of at least 100, and more than four times what its own growth explains.

## Why it matters
A step that is left out is a batch that was computed for nothing. Training that stands still this
way looks alive: the loss is printed, time passes, nothing moves, and the scale falls to 0.

## What to do
Find the first module that gives inf or nan (NUM001), and compute the loss in float32: a division by
a small number, a logarithm of 0, an exponential without bound. Or use bfloat16, which needs no
scaler.

## Limits
While the scale is sought, a scaler leaves steps out on purpose: sixteen in a row bring it from its
usual start, 65536, to 1. A run in which every step is left out is reported when it ends, as it has
no steps that could be counted.

## Sources
- https://docs.pytorch.org/docs/stable/amp.html#torch.amp.GradScaler: scale 2^16, halved for inf,
  doubled after 2000 steps without.
- A scale that grows every g steps is too large about once in g + 1 steps. With g = 2000, five and
  more of 100 come by chance once in 10^9 times (Poisson, mean 0.05).
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed

IN_A_ROW = 20  # 2^16 / 2^20 is less than 1: gradients that overflow unscaled
SEARCH = 50  # steps
FEWEST = 100  # steps after it
SHARE = 0.05
EXPLAINED = 4.0  # times 1 / (growth interval + 1)


@rule("NUM002", Severity.WARNING)
def scaler_skips_steps(curves: ScalerCurves, scalers: ScalersUsed) -> Findings:
    asked, skipped = curves.series["asked"], curves.series["skipped"]
    in_a_row = curves.series["in a row"]
    scale = curves.series["scale"].values[-1] if "scale" in curves.series else float("nan")
    used = scalers.seen[-1][1]
    if (longest := max(in_a_row.values)) >= IN_A_ROW:
        yield Finding(
            subject="GradScaler",
            message="leaves out one step after the other",
            measured=f"{longest:.0f} steps in a row; {skipped.values[-1]:.0f} of "
            f"{asked.values[-1]:.0f} steps left out; scale now {scale:.3g}",
            expected="gradients that are finite at some scale",
            at=used.at,
            severity=Severity.ERROR,
        )
        return
    counts = list(zip(asked.values, skipped.values, strict=True))
    before = max((each for each in counts if each[0] <= SEARCH), default=counts[0])
    steps, left_out = asked.values[-1] - before[0], skipped.values[-1] - before[1]
    if steps < FEWEST:
        raise NotJudged(f"{asked.values[-1]:.0f} steps of the {SEARCH + FEWEST} it needs")
    explained = EXPLAINED / (used.growth_interval + 1)
    if left_out / steps > max(SHARE, explained):
        yield Finding(
            subject="GradScaler",
            message="leaves out many steps, long after it has had time to find its scale",
            measured=f"{left_out:.0f} of the last {steps:.0f} steps left out "
            f"({left_out / steps:.1%}); scale now {scale:.3g}",
            expected=f"at most {max(SHARE, explained):.0%}",
            at=used.at,
        )


def fails_with_an_error_when_twenty_steps_in_a_row_are_left_out(_: Watch) -> None:
    import torch

    weight = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([weight], lr=1e-3)
    scaler = torch.amp.GradScaler("cpu")
    for factor in [1.0] + [float("inf")] * 20:
        optimizer.zero_grad()
        scaler.scale((weight * factor).sum()).backward()
        scaler.step(optimizer)
        scaler.update()


def fails_with_a_warning_when_six_of_a_hundred_are_left_out(watch: Watch) -> None:
    from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed, ScalerUsed
    from stepscope.evidence.course.series import Series

    asked = Series((0, 49, 149), (1.0, 50.0, 150.0))
    skipped = Series((0, 49, 149), (0.0, 16.0, 22.0))
    in_a_row = Series((0, 49, 149), (0.0, 0.0, 3.0))
    watch.saw(
        ScalerCurves(series={"asked": asked, "skipped": skipped, "in a row": in_a_row}),
        ScalersUsed(seen=((0, ScalerUsed(growth_interval=2000)),), count=1),
    )


def passes_when_five_of_a_hundred_are_left_out(watch: Watch) -> None:
    from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed, ScalerUsed
    from stepscope.evidence.course.series import Series

    asked = Series((0, 49, 149), (1.0, 50.0, 150.0))
    skipped = Series((0, 49, 149), (0.0, 16.0, 21.0))
    in_a_row = Series((0, 49, 149), (0.0, 0.0, 3.0))
    watch.saw(
        ScalerCurves(series={"asked": asked, "skipped": skipped, "in a row": in_a_row}),
        ScalersUsed(seen=((0, ScalerUsed(growth_interval=2000)),), count=1),
    )


def passes_when_nineteen_in_a_row_find_the_scale(watch: Watch) -> None:
    from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed, ScalerUsed
    from stepscope.evidence.course.series import Series

    asked = Series((0, 49, 149), (1.0, 50.0, 150.0))
    skipped = Series((0, 49, 149), (0.0, 19.0, 19.0))
    in_a_row = Series((0, 49, 149), (0.0, 19.0, 0.0))
    watch.saw(
        ScalerCurves(series={"asked": asked, "skipped": skipped, "in a row": in_a_row}),
        ScalersUsed(seen=((0, ScalerUsed(growth_interval=2000)),), count=1),
    )


def passes_when_a_scale_that_grows_every_ten_steps_is_often_too_large(watch: Watch) -> None:
    from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed, ScalerUsed
    from stepscope.evidence.course.series import Series

    asked = Series((0, 49, 149), (1.0, 50.0, 150.0))
    skipped = Series((0, 49, 149), (0.0, 16.0, 52.0))
    in_a_row = Series((0, 49, 149), (0.0, 0.0, 3.0))
    watch.saw(
        ScalerCurves(series={"asked": asked, "skipped": skipped, "in a row": in_a_row}),
        ScalersUsed(seen=((0, ScalerUsed(growth_interval=10)),), count=1),
    )


def fails_with_a_warning_when_it_is_too_large_even_oftener(watch: Watch) -> None:
    from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed, ScalerUsed
    from stepscope.evidence.course.series import Series

    asked = Series((0, 49, 149), (1.0, 50.0, 150.0))
    skipped = Series((0, 49, 149), (0.0, 16.0, 53.0))
    in_a_row = Series((0, 49, 149), (0.0, 0.0, 3.0))
    watch.saw(
        ScalerCurves(series={"asked": asked, "skipped": skipped, "in a row": in_a_row}),
        ScalersUsed(seen=((0, ScalerUsed(growth_interval=10)),), count=1),
    )


def skips_the_first_149_steps(watch: Watch) -> None:
    from stepscope.evidence.course.scaler import ScalerCurves, ScalersUsed, ScalerUsed
    from stepscope.evidence.course.series import Series

    asked = Series((0, 49, 149), (1.0, 50.0, 149.0))
    skipped = Series((0, 49, 149), (0.0, 19.0, 40.0))
    in_a_row = Series((0, 49, 149), (0.0, 0.0, 3.0))
    watch.saw(
        ScalerCurves(series={"asked": asked, "skipped": skipped, "in a row": in_a_row}),
        ScalersUsed(seen=((0, ScalerUsed(growth_interval=2000)),), count=1),
    )
