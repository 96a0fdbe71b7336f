"""Training waits for its data, has become slow, or needs ever more memory.

## What it proves
- Warning: at more than half of the last 20 sampled steps, half of the time and more went by waiting
  for a `DataLoader`.
- Note: each of the last 20 sampled steps took twice as long as the steps before and more, waiting
  for data not counted.
- Note: the memory grew from each quarter of the run to the next, by a fifth and more in all.

## Why it matters
A device that waits for half of the time costs twice as much. A step that becomes slower all of a
sudden tells of a neighbour on the machine, a throttled device, a fallback or a growing graph.

## What to do
More workers, `persistent_workers`, decoding ahead of time, a faster disk. For a cliff: what
happened at the step that is named. For memory: losses and outputs that are kept with their graph.

## Limits
Needs a minute and 40 sampled steps; the first 20 are not counted. Where no device is in use, memory
is that of the process, caches of data included. A step that does more work from some epoch on is
slower, too.

## Sources
- A median is not moved by fewer than half of the values, whatever evaluations and pauses there are.
- Chance: 20 of 20 values above twice the median of those before need a twofold change of half of
  all values; independent noise that doubles one step in ten does so once in 10^20.
"""

from collections.abc import Iterable
from itertools import pairwise
from statistics import median

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series
from stepscope.evidence.course.time_curves import TimeCurves

WARM = 20  # sampled steps that are not counted
RECENT = 20
TWICE = 2.0
QUARTERS = 4
GROWN = 1.2  # from the first quarter to the last

Points = list[tuple[int, float]]


@rule("RUN011", Severity.WARNING)
def throughput(
    times: TimeCurves, progress: Progress, *, share: float = 0.5, least_s: float = 60.0
) -> Findings:
    steps = list(times.series["step"])[WARM:]
    if progress.seconds < least_s or len(steps) < RECENT:
        raise NotJudged(
            f"{len(steps) + WARM} sampled steps in {progress.seconds:.0f} s, of the "
            f"{WARM + RECENT} in {least_s:.0f} s that it needs"
        )
    waits = dict(times.series["loader"]) if "loader" in times.series else {}
    yield from _waiting(steps[-RECENT:], waits, share)
    yield from _cliff([(step, took - waits.get(step, 0.0)) for step, took in steps])
    yield from _growing(times.series["memory"])


def _waiting(recent: Points, waits: dict[int, float], share: float) -> Iterable[Finding]:
    waited = median(waits.get(step, 0.0) / took if took else 0.0 for step, took in recent)
    if waited > share:
        yield Finding(
            subject="data loading",
            message="takes most of the time of a step",
            measured=f"{waited:.0%} of the time waiting for a DataLoader (median of {len(recent)} "
            f"sampled steps); {median(took for _, took in recent):.3g} s a step",
            expected=f"at most {share:.0%}",
        )


def _cliff(net: Points) -> Iterable[Finding]:
    before, recent = net[:-RECENT], net[-RECENT:]
    if len(before) < RECENT:
        return
    usual, fastest = median(took for _, took in before), min(took for _, took in recent)
    if fastest > TWICE * usual > 0:
        yield Finding(
            subject="step time",
            message="has doubled",
            measured=f"{usual:.3g} s a step before step {recent[0][0]}, without the wait for data; "
            f"{fastest:.3g} s and more at each of the {RECENT} sampled steps since",
            expected=f"less than {TWICE * usual:.3g} s",
            severity=Severity.NOTE,
        )


def _growing(memory: Series) -> Iterable[Finding]:
    values = [size for _, size in memory][WARM:]
    quarter = len(values) // QUARTERS
    sizes = [median(values[each * quarter : (each + 1) * quarter]) for each in range(QUARTERS)]
    if quarter >= RECENT and _rises(sizes) and sizes[-1] > GROWN * sizes[0]:
        yield Finding(
            subject="memory",
            message="grows with the steps",
            measured=", ".join(f"{size / 2**20:.0f} MiB" for size in sizes)
            + " in the quarters of the run (medians)",
            expected="the same in each",
            severity=Severity.NOTE,
        )


def _rises(sizes: list[float]) -> bool:
    return all(before < after for before, after in pairwise(sizes))


def _took(
    steps: list[float], waits: list[float], memory: list[float] | None = None
) -> tuple[TimeCurves, Progress]:
    """Return a run of two minutes whose sampled steps took so long."""
    every = tuple(range(len(steps)))
    return (
        TimeCurves(
            series={
                "step": Series(every, tuple(steps)),
                "loader": Series(every, tuple(waits)),
                "memory": Series(every, tuple(memory or [2.0**30] * len(steps))),
            }
        ),
        Progress(first=0, step=len(steps), sampled=len(steps), seconds=120.0),
    )


def fails_when_more_than_half_of_the_time_is_waited(watch: Watch) -> None:
    watch.saw(*_took([1.0] * 40, [0.51] * 40))


def passes_when_half_of_the_time_is_waited(watch: Watch) -> None:
    watch.saw(*_took([1.0] * 40, [0.5] * 40))


def passes_when_every_third_measurement_holds_an_evaluation(watch: Watch) -> None:
    watch.saw(*_took([1.0, 1.0, 9.0] * 20, [0.1, 0.1, 8.0] * 20))


def fails_with_a_note_when_twenty_steps_take_more_than_twice_as_long(watch: Watch) -> None:
    watch.saw(*_took([1.0] * 40 + [2.01] * 20, [0.0] * 60))


def passes_when_one_of_them_does_not(watch: Watch) -> None:
    watch.saw(*_took([1.0] * 40 + [2.01] * 19 + [1.99], [0.0] * 60))


def passes_when_they_wait_longer_for_data(watch: Watch) -> None:
    watch.saw(*_took([2.0] * 40 + [3.9] * 20, [0.0] * 40 + [1.9] * 20))


def fails_with_a_note_when_memory_grows_by_more_than_a_fifth(watch: Watch) -> None:
    sizes = [1.0] * 40 + [1.05] * 20 + [1.1] * 20 + [1.21] * 20
    watch.saw(*_took([1.0] * 100, [0.0] * 100, [size * 2**30 for size in sizes]))


def passes_when_memory_grows_by_less(watch: Watch) -> None:
    sizes = [1.0] * 40 + [1.05] * 20 + [1.1] * 20 + [1.19] * 20
    watch.saw(*_took([1.0] * 100, [0.0] * 100, [size * 2**30 for size in sizes]))


def skips_thirty_nine_sampled_steps(watch: Watch) -> None:
    watch.saw(*_took([1.0] * 39, [0.9] * 39))
