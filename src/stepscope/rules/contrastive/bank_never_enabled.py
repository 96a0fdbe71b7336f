"""A bank of negatives is never turned on, or is never filled, in the whole run.

## What it proves
Either the module that keeps the bank compares a counter with a threshold named like a beginning, as
its source says, and the counter does not reach it: by the end of the run, or, with the planned
steps known, at the pace at which it counts. Or more than half of the bank's entries are at the end
still those that it began with, bit for bit, while others were written, and what it began with is
noise: its directions are spread as evenly as random ones.

## Why it matters
A bank that never turns on contributes nothing to the loss. A bank that is mostly noise contributes
random directions as negatives: they are easier than any real one, and the hardest of thousands of
them says nothing of the data.

## What to do
Give the warm-up in optimizer steps and as a share of the run; mind that a counter in `forward`
counts micro-batches. Make the bank no larger than a few epochs of embeddings, or use only what is
filled.

## Limits
A warning. Banks are buffers of two dimensions called queue, bank, memory or negatives. A bank of
zeros is not called noise: what is not filled may be masked. Judged at the end of a run that came to
its own end after at least ten steps, or before where the planned steps are known. A bank into which
nothing was written is left alone: it may be switched off on purpose (see LOS002).

## Sources
- He et al., "Momentum Contrast" (CVPR 2020), section 3.1: a queue of 65,536 keys is replaced about
  20 times in an epoch of ImageNet.
- n random directions in d dimensions: E |u_i . u_j|^2 = 1 / d for i != j, from which the
  participation ratio n d / (n + d - 1) of their second moments follows.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.banks import KEPT, BankCurves, BankFound, BanksFound
from stepscope.evidence.course.counters import CounterCurves, CountersFound, count_of
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.plans import Plans
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series


@rule("CON005", Severity.WARNING)
def bank_never_enabled(
    banks: BanksFound,
    curves: BankCurves | None,
    found: CountersFound | None,
    counters: CounterCurves | None,
    progress: Progress,
    endings: Endings | None,
    plans: Plans | None,
    *,
    fewest: int = 10,
    most_noise: float = 0.5,
) -> Findings:
    ended = endings.steps if endings is not None else None
    steps = ended or (plans.steps if plans is not None else None)
    if progress.step < fewest:
        raise NotJudged(f"{progress.step} steps of the {fewest} it needs")
    if steps is None:
        raise NotJudged("the run goes on: its banks may still be turned on and filled")
    for _, each in found.seen if found is not None and counters is not None else ():
        assert counters is not None
        count = count_of(each, counters.series[each.name]) if each.of_bank else None
        if count is None or (ended is None and count.due <= steps):
            continue
        yield Finding(
            subject=each.name,
            message=f"does not reach {each.threshold} in this run: the bank stays off",
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
    for _, bank in banks.seen if curves is not None else ():
        assert curves is not None
        kept = curves.of(bank.name, KEPT)
        share = _kept_by(steps, kept)
        if bank.is_noise and share is not None and share > most_noise:
            yield _noise(bank, kept, share, steps)


def _kept_by(steps: int, kept: Series) -> float | None:
    """Return the share of its first entries that a bank has when the run ends.

    None where nothing was written into it.
    """
    if len(kept) < 2 or kept.values[-1] >= 1:  # noqa: PLR2004 - two looks
        return None
    first, last = kept.steps[0], kept.steps[-1]
    rise = (kept.values[0] - kept.values[-1]) / max(last - first, 1)
    return kept.values[-1] - rise * max(steps - 1 - last, 0)


def _noise(bank: BankFound, kept: Series, share: float, steps: int) -> Finding:
    return Finding(
        subject=bank.name,
        message="is mostly the noise that it began with, for the whole run",
        measured=f"{kept.values[-1]:.0%} of {bank.entries} entries are as they were after the first"
        f" step; {share:.0%} when the run ends after {steps} steps",
        expected="a bank that the run fills, or the use of what is filled only",
        at=Place(module=bank.name.rpartition(".")[0]),
    )


def _train(steps: int, entries: int, *, noise: bool = True, batch: int = 8) -> None:
    import torch
    from torch.nn import functional

    class Queued(torch.nn.Module):
        queue: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(8, 8)
            first = torch.randn(entries, 8) if noise else torch.zeros(entries, 8)
            self.register_buffer("queue", functional.normalize(first, dim=1))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = functional.normalize(self.head(x), dim=1)
            logits = torch.cat([z @ z.T, z @ self.queue.T], dim=1) / 0.2
            self.queue = torch.cat([z.detach(), self.queue])[:entries]
            return functional.cross_entropy(logits, torch.arange(len(x)))

    model = Queued()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(steps):
        optimizer.zero_grad()
        model(torch.randn(batch, 8)).backward()
        optimizer.step()


def fails_when_just_less_than_half_of_the_queue_is_written(_: Watch) -> None:
    _train(steps=16, entries=256)  # the first look is after the first step: 120 of 256


def passes_when_just_more_than_half_of_the_queue_is_written(_: Watch) -> None:
    _train(steps=18, entries=256)  # 136 of 256


def passes_when_the_queue_begins_with_zeros(_: Watch) -> None:
    _train(steps=12, entries=512, noise=False)


def skips_when_there_are_nine_steps(_: Watch) -> None:
    _train(steps=9, entries=256)


def skips_without_a_bank(_: Watch) -> None:
    import torch

    model = torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(12):
        model(torch.ones(3, 4)).sum().backward()
        optimizer.step()


def _run_with_a_warmup(warmup_steps: int) -> None:
    import torch

    class Bank(torch.nn.Module):
        training_step: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.warmup_steps = warmup_steps
            self.register_buffer("queue", torch.zeros(64, 8))
            self.register_buffer("training_step", torch.zeros((), dtype=torch.long))

        def is_on(self) -> bool:
            self.training_step += 1
            return bool(self.training_step > self.warmup_steps)

    bank, model = Bank(), torch.nn.Linear(4, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(10):
        optimizer.zero_grad()
        for _micro_batch in range(8):
            (model(torch.ones(3, 4)).sum() * (2 if bank.is_on() else 1)).backward()
        optimizer.step()


def fails_when_the_warm_up_of_the_bank_ends_with_the_last_micro_batch(_: Watch) -> None:
    _run_with_a_warmup(80)


def passes_when_the_last_micro_batch_turns_the_bank_on(_: Watch) -> None:
    _run_with_a_warmup(79)
