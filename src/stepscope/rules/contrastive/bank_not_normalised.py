"""A bank of embeddings holds vectors of another length than it was made for, or each one twice.

## What it proves
Of the entries with which the bank began, the middle half has norm 1, within 1 % (2 % in half
precision), and entries that were written into it have not. Or, as a note: at a look, at least half
of the written entries are, in the eight numbers by which they are told apart, bit for bit those of
another entry.

## Why it matters
Products with a bank are scaled like cosines. Where the keys are enqueued before they are
normalised, their lengths scale the logits of all negatives, and not that of the positive, which was
normalised on its way into the loss. An entry that stands in the bank twice takes the place of
another negative and counts twice in every loss.

## What to do
Enqueue what the loss compares: the normalised keys, without gradient. Enqueue once for each batch:
a second forward in the step (a recomputation, a validation batch, the other direction of a
symmetric loss) writes again.

## Limits
A bank whose first entries are not of norm 1 (zeros, features as they come) is not judged for the
norms of its later ones. Equal entries are a note, as a frozen encoder gives the same embedding for
the same input whenever it comes; banks with fewer than 16 written entries are not judged for them.

## Sources
- He et al., "Momentum Contrast" (CVPR 2020), algorithm 1: keys are normalised, then enqueued.
- 1 % and 2 %: as in CON003, for the rounding of a normalisation in each precision.
"""

from stepscope.core import Finding, Findings, NotJudged, Place, Severity, Watch, rule
from stepscope.evidence.course.banks import (
    KEPT,
    LONGEST,
    SHORTEST,
    TWINS,
    BankCurves,
    BankFound,
    BanksFound,
)

_HALF = ("float16", "bfloat16")


@rule("CON007", Severity.WARNING)
def bank_not_normalised(
    banks: BanksFound,
    curves: BankCurves,
    *,
    within: float = 1e-2,
    within_half: float = 2e-2,
    most_twins: float = 0.5,
    fewest: int = 16,
) -> Findings:
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


def skips_when_nothing_is_written(_: Watch) -> None:
    _train(norm=1.0, times=0)
