"""A bank of embeddings holds vectors of a wrong length, or old ones, or each one twice.

## What it proves
Of the entries with which the bank began, the middle half has norm 1, within 1 % (2 % in half
precision), and entries that were written into it have not. Or: entries were written into it while
the run went, and then none for more than half of the run, at three looks or more, and for more than
twice as long as ever before. Or, as a note: at a look, at least half of the written entries are, in
the eight numbers by which they are told apart, bit for bit those of another entry.

## Why it matters
Products with a bank are scaled like cosines. Where the keys are enqueued before they are
normalised, their lengths scale the logits of all negatives, and not that of the positive, which was
normalised on its way into the loss. A bank that is filled once holds embeddings of an encoder that
no longer exists: the further training goes, the less they say of the data. An entry that stands in
the bank twice takes the place of another negative and counts twice in every loss.

## What to do
Enqueue what the loss compares: the normalised keys, without gradient. Enqueue in every step, or
fill the bank anew in every epoch; look for the condition that ends it. Enqueue once for each batch:
a second forward in the step (a recomputation, a validation batch, the other direction of a
symmetric loss) writes again.

## Limits
A bank whose first entries are not of norm 1 (zeros, features as they come) is not judged for the
norms of its later ones. Whether entries grow old is judged at the end of the run or after 500
steps; a bank that is not read any more looks the same, and one that is filled before the first step
and never again is left alone: embeddings of texts or classes may be meant to stay. Equal entries
are a note, as a frozen encoder gives the same embedding for the same input whenever it comes; banks
with fewer than 16 written entries are not judged for them.

## Sources
- He et al., "Momentum Contrast" (CVPR 2020), algorithm 1: keys are normalised, then enqueued.
- 1 % and 2 %: as in CON003, for the rounding of a normalisation in each precision.
"""

import itertools

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.banks import (
    KEPT,
    LONGEST,
    SHORTEST,
    TWINS,
    WRITTEN,
    BankCurves,
    BankFound,
    BanksFound,
)
from stepscope.evidence.course.endings import Endings
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.series import Series

_HALF = ("float16", "bfloat16")


@rule("CON007", Severity.WARNING)
def bank_not_normalised(
    banks: BanksFound,
    curves: BankCurves,
    progress: Progress | None,
    endings: Endings | None,
    *,
    within: float = 1e-2,
    within_half: float = 2e-2,
    most_twins: float = 0.5,
    fewest: int = 16,
    looks_since: int = 3,
    settled: int = 500,
) -> Findings:
    has_ended = endings is not None and endings.steps is not None
    step = progress.step if progress is not None else 0
    written = [
        bank for _, bank in banks.seen if any(kept < 1 for _, kept in curves.of(bank.name, KEPT))
    ]
    if not written:
        raise NotJudged("nothing was written into a bank")
    for bank in written:
        allowed = within_half if bank.dtype in _HALF else within
        kept = curves.of(bank.name, KEPT).values
        looks = [i for i, share in enumerate(kept) if share < 1]
        low = min(curves.of(bank.name, SHORTEST).values[i] for i in looks)
        high = max(curves.of(bank.name, LONGEST).values[i] for i in looks)
        was_unit = max(abs(bank.lower - 1), abs(bank.upper - 1)) <= allowed
        if was_unit and max(abs(low - 1), abs(high - 1)) > allowed:
            yield _finding(
                bank,
                "was made for vectors of norm 1, and others were written into it",
                f"norms of written entries {low:.4g} to {high:.4g};"
                f" of half of the first ones {bank.lower:.4g} to {bank.upper:.4g}",
                "entries of norm 1",
                Severity.WARNING,
            )
        stale = _stale(curves.of(bank.name, WRITTEN), step, looks_since)
        if stale is not None and (has_ended or step >= settled):
            yield _finding(
                bank,
                "was filled while the run went, and is not renewed any more",
                stale,
                "entries of the present encoder",
                Severity.WARNING,
            )
        twins = curves.of(bank.name, TWINS).values
        twice = [i for i in looks if (1 - kept[i]) * bank.entries >= fewest]
        share = max((twins[i] for i in twice), default=0.0)
        if share >= most_twins:
            yield _finding(
                bank,
                "holds entries more than once",
                f"{share:.0%} of the written entries equal another one, at the look with the most",
                "each embedding once",
                Severity.NOTE,
            )


def _stale(written: Series, step: int, looks: int) -> str | None:
    """Say since when nothing was written; None where that is not long for this bank."""
    at = [seen for seen, share in written if share > 0]
    since = [seen for seen, _ in written if at and seen > at[-1]]
    if len(since) < looks:
        return None
    waits = [later - earlier for earlier, later in itertools.pairwise((written.steps[0], *at))]
    wait = since[-1] - at[-1]
    if 2 * wait <= step or wait <= 2 * max(waits):
        return None
    return (
        f"nothing new at {len(since)} looks since step {at[-1]}, of {step};"
        f" before, at most {max(waits)} steps went by"
    )


def _finding(
    bank: BankFound, message: str, measured: str, expected: str, severity: Severity
) -> Finding:
    return Finding(
        subject=bank.name,
        message=message,
        measured=measured,
        expected=expected,
        at=Place(module=bank.name.rpartition(".")[0]),
        severity=severity,
    )


def _train(norm: float, *, times: int = 1, batch: int = 8, unit: float = 1.0) -> None:
    import torch
    from torch.nn import functional

    class Queued(torch.nn.Module):
        queue: torch.Tensor

        def __init__(self) -> None:
            super().__init__()
            self.head = torch.nn.Linear(8, 8)
            first = unit * functional.normalize(torch.randn(64, 8), dim=1)
            self.register_buffer("queue", first)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            z = functional.normalize(self.head(x), dim=1)
            logits = torch.cat([z @ z.T, z @ self.queue.T], dim=1) / 0.2
            for _time in range(times):
                self.queue = torch.cat([norm * z.detach(), self.queue])[:64]
            return functional.cross_entropy(logits, torch.arange(len(x)))

    model = Queued()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _step in range(3):
        optimizer.zero_grad()
        model(torch.randn(batch, 8)).backward()
        optimizer.step()


def fails_when_the_norms_are_1_02(_: Watch) -> None:
    _train(norm=1.02)


def passes_when_the_norms_are_1_005(_: Watch) -> None:
    _train(norm=1.005)


def passes_when_the_bank_was_not_made_for_norm_1(_: Watch) -> None:
    _train(norm=3.0, unit=2.0)


def fails_as_a_note_when_each_batch_is_enqueued_twice(_: Watch) -> None:
    _train(norm=1.0, times=2, batch=4)  # 16 after the first look


def passes_when_fewer_than_16_entries_are_written(_: Watch) -> None:
    _train(norm=1.0, times=2, batch=3)  # 12 after the first look


def _renewed(
    *shares: float, every: int = 100, steps: int = 500, finished: bool = False
) -> tuple[BanksFound, BankCurves, Progress, Endings]:
    from stepscope.evidence.course.endings import RunEnded

    at = tuple(every * i for i in range(len(shares)))
    bank = BankFound(
        name="queue", entries=64, size=8, dtype="float32", spread=7.0, lower=1.0, upper=1.0
    )
    measured = {KEPT: 0.5, TWINS: 0.0, SHORTEST: 1.0, LONGEST: 1.0}
    series = {f"queue {what}": Series(at, (each,) * len(at)) for what, each in measured.items()}
    return (
        BanksFound(seen=((0, bank),), count=1),
        BankCurves(series={**series, "queue written": Series(at, shares)}),
        Progress(first=0, step=steps, sampled=len(at), seconds=1.0),
        Endings(seen=((steps, RunEnded(finished=finished)),), count=1),
    )


def fails_when_nothing_is_written_for_300_of_500_steps(watch: Watch) -> None:
    watch.saw(*_renewed(0.1, 0.1, 0.0, 0.0, 0.0))


def passes_when_nothing_is_written_for_300_of_600_steps(watch: Watch) -> None:
    watch.saw(*_renewed(0.1, 0.1, 0.0, 0.0, 0.0, steps=600))


def passes_when_nothing_is_written_at_two_looks(watch: Watch) -> None:
    watch.saw(*_renewed(0.1, 0.1, 0.0, 0.0, every=200, steps=600))


def passes_when_it_is_filled_anew_as_seldom_as_before(watch: Watch) -> None:
    watch.saw(*_renewed(0.0, 0.0, 0.1, 0.0, 0.0, 0.0, 0.0))


def passes_when_the_run_goes_on_at_step_499(watch: Watch) -> None:
    watch.saw(*_renewed(0.1, 0.1, 0.0, 0.0, 0.0, steps=499))


def skips_when_nothing_is_written(_: Watch) -> None:
    _train(norm=1.0, times=0)
