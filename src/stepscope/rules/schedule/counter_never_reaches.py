"""What a counter of a module is to turn on is never turned on: the run is too short.

## What it proves
The class of a module compares a counter of its own with a threshold that is named like a beginning
(`warmup_steps`, `start_iter`, `delay`), as its source says. The counter rose by the same number in
each optimizer step, and had not reached the threshold when the run came to its own end; or, where
the planned steps are known, does not reach it by then.

## Why it matters
A loss, a bank or an exponential moving average that waits for its turn stays off for the whole run,
and nothing says so. The usual cause is a threshold in another unit: a counter in `forward` counts
micro-batches, the configuration means optimizer steps, or epochs; or a threshold that was made for
a longer run.

## What to do
Set the threshold as a share of the planned steps, in the unit in which the counter counts.

## Limits
A warning: it may be that a trial run is short on purpose. Read are comparisons between two
attributes of one module, in classes with a source file; a counter that the training loop keeps in a
variable is not seen. Counters that stand still, that fall or that rise unevenly are left alone, and
so are runs of fewer than ten steps. Modules that keep a bank of embeddings are judged by CON005.

## Sources
- Ten steps: fewer are a trial of the program, not of the training.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.counters import CounterCurves, CountersFound, count_of
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.plans import Plans
from stepscope.evidence.course.progress import Progress


@rule("SCH006", Severity.WARNING)
def counter_never_reaches(
    found: CountersFound,
    counters: CounterCurves,
    progress: Progress,
    endings: Endings | None,
    plans: Plans | None,
    *,
    fewest: int = 10,
) -> Findings:
    ended = endings.steps if endings is not None else None
    steps = ended or (plans.steps if plans is not None else None)
    if progress.step < fewest:
        raise NotJudged(f"{progress.step} steps of the {fewest} it needs")
    if steps is None:
        raise NotJudged("the run goes on: its counters may still reach their thresholds")
    for _, each in found.seen:
        count = count_of(each, counters.series[each.name]) if not each.of_bank else None
        if count is None or (ended is None and count.due <= steps):
            continue
        yield Finding(
            subject=each.name,
            message=f"does not reach {each.threshold} in this run",
            measured=f"{count.last:g} of {each.limit:g} after {progress.step} optimizer steps,"
            f" {count.rise:g} in each: due after {count.due:.0f} steps, in a run of {steps}",
            expected=f"a threshold that is reached within {steps} optimizer steps",
            at=Place(
                module=each.name.rpartition(".")[0],
                file=each.at.file,
                line=each.at.line,
                function=each.at.function,
            ),
        )


def _train(steps: int, warmup_steps: int, micro_batches: int = 1) -> None:
    import torch

    class Gated(torch.nn.Linear):
        def __init__(self) -> None:
            super().__init__(4, 1)
            self.calls = 0
            self.warmup_steps = warmup_steps

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            return super().forward(x) * (1.0 if self.calls > self.warmup_steps else 0.5)

    model = Gated()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(steps):
        optimizer.zero_grad()
        for _batch in range(micro_batches):
            model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def fails_when_the_counter_ends_at_its_threshold(_: Watch) -> None:
    _train(steps=12, warmup_steps=12)


def passes_when_the_counter_is_above_its_threshold_in_the_last_step(_: Watch) -> None:
    _train(steps=12, warmup_steps=11)


def passes_when_micro_batches_are_counted_and_reach_it(_: Watch) -> None:
    _train(steps=12, warmup_steps=20, micro_batches=2)


def fails_when_the_planned_steps_end_before(watch: Watch) -> None:
    from stepscope.evidence.course.endings import Endings, RunEnded
    from stepscope.evidence.course.plans import Planned, Plans

    _train(steps=12, warmup_steps=100)
    watch.saw(Plans(seen=((0, Planned(steps=100)),), count=1))  # reached after 101
    watch.saw(Endings(seen=((12, RunEnded(finished=False)),), count=1))


def passes_when_the_planned_steps_reach_it(watch: Watch) -> None:
    from stepscope.evidence.course.endings import Endings, RunEnded
    from stepscope.evidence.course.plans import Planned, Plans

    _train(steps=12, warmup_steps=99)
    watch.saw(Plans(seen=((0, Planned(steps=100)),), count=1))
    watch.saw(Endings(seen=((12, RunEnded(finished=False)),), count=1))


def skips_when_the_run_was_interrupted(watch: Watch) -> None:
    from stepscope.evidence.course.endings import Endings, RunEnded

    _train(steps=12, warmup_steps=100)
    watch.saw(Endings(seen=((12, RunEnded(finished=False)),), count=1))


def skips_when_there_are_nine_steps(_: Watch) -> None:
    _train(steps=9, warmup_steps=100)


def passes_when_patience_is_not_exhausted(watch: Watch) -> None:
    import torch

    from stepscope.evidence.course.counters import CounterCurves, CountersFound

    class Stopping(torch.nn.Linear):
        calls, patience = 0, 50

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.calls += 1
            assert self.calls < self.patience
            return super().forward(x)

    model = Stopping(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(12):
        optimizer.zero_grad()
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()
    watch.saw(CountersFound(seen=(), count=0), CounterCurves(series={}))  # nothing else was found
