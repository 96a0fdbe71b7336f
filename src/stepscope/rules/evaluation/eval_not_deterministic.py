"""The same evaluation, of the same model, would give another score.

## What it proves
Of one data set, read in its order, the first batch of two evaluations held different bits. Or a
module in evaluation mode drew random numbers in a forward of an evaluation: its class calls a
functional dropout without saying in which mode it is, and drops activations in any. Note: only
integers of the batch differ, as where tokens are masked anew; or the forward drew, and nothing was
left in the same state by two evaluations, so that no seed was set for them.

## Why it matters
What changes from one evaluation to the next is then not only the model. Random crops and flips of
the training data, applied to held-out data, also make it harder, and a checkpoint is chosen by
luck. `F.dropout(x, p)` is on unless told otherwise: half of the features are missing in each
prediction, and no `eval()` helps.

## What to do
Give the held-out data a transform of its own: `random_split` shares the one of the training data.
Write `F.dropout(x, p, training=self.training)`, or use `nn.Dropout`. Where chance belongs to the
score, set a seed before each evaluation.

## Limits
Only the first batch of a pass is compared, and of each tensor up to 4096 elements; only map-style
data sets that live through both evaluations, read by a sequential sampler, or by a
`DistributedSampler` that does not shuffle. Only the first forward of an evaluation is looked at,
in evaluation mode, of a model that is trained; drawing is no proof that the output depends on it.
With `torch.compile` nothing is seen.

## Sources
- https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.dropout.html
- https://docs.pytorch.org/docs/stable/notes/randomness.html
"""

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.held_out import HeldOutPass, HeldOutPasses
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.course.random_draws import EvaluationDraws, EvaluationDrew, StillEvaluations


@rule("EVL003", Severity.WARNING)
def eval_not_deterministic(
    _: Progress,
    passes: HeldOutPasses | None,
    draws: EvaluationDraws | None,
    still: StillEvaluations | None,
) -> Findings:
    again = list(_seen_again(passes))
    if not again and draws is None and still is None:
        raise NotJudged("no data set was evaluated twice in its order, and no forward was followed")
    yield from _other_data(again)
    if draws is not None:
        yield from _dropped(draws)
        yield from _drawn(draws)


def _seen_again(passes: HeldOutPasses | None) -> Iterator[tuple[HeldOutPass, HeldOutPass]]:
    """Yield a pass and the same one of the next evaluation."""
    alike: dict[tuple[object, ...], list[HeldOutPass]] = {}
    for _, each in passes.seen if passes is not None else ():
        if each.in_order and (each.marks or each.whole_marks):
            key = each.data, each.order, each.size, each.batch_size
            alike.setdefault(key, []).append(each)
    for same in alike.values():
        yield from pairwise(same)


def _other_data(again: list[tuple[HeldOutPass, HeldOutPass]]) -> Iterator[Finding]:
    floats: dict[int, Finding] = {}
    whole: dict[int, Finding] = {}
    for before, after in again:
        names = _differing(before.marks, after.marks)
        whole_names = _differing(before.whole_marks, after.whole_marks)
        if names:
            floats.setdefault(after.data, _differs(before, after, names))
        elif whole_names:
            note = _differs(before, after, whole_names, severity=Severity.NOTE)
            whole.setdefault(after.data, note)
    yield from {**whole, **floats}.values()


def _differing(before: dict[str, float], after: dict[str, float]) -> list[str]:
    return [name for name in before if name in after and before[name] != after[name]]


def _differs(
    before: HeldOutPass, after: HeldOutPass, names: list[str], *, severity: Severity | None = None
) -> Finding:
    return Finding(
        subject=f"{after.kind} ({after.size} samples)",
        message="gives other samples in each evaluation",
        measured=(
            f"read in its order, its first batch holds other bits in {', '.join(map(repr, names))}"
            f" after {after.evaluated} steps than after {before.evaluated}"
        ),
        expected="the same samples, bit by bit",
        at=after.at,
        severity=severity,
    )


def _dropped(draws: EvaluationDraws) -> Iterator[Finding]:
    found: dict[str, EvaluationDrew] = {}
    for _, each in draws.seen:
        if each.drops:
            found.setdefault(each.module, each)
    for each in found.values():
        yield Finding(
            subject=each.module or f"the model ({each.kind})",
            message="drops activations in evaluation mode",
            measured=(
                f"its forward drew from {each.generator} in evaluation mode, and calls"
                f" {each.drops} with a probability that the mode does not change"
            ),
            expected="training=self.training, or nn.Dropout",
            at=each.dropped_at,
        )


def _drawn(draws: EvaluationDraws) -> Iterator[Finding]:
    found: dict[str, list[EvaluationDrew]] = {}
    for _, each in draws.seen:
        if not each.drops:
            found.setdefault(each.module, []).append(each)
    for module, same in found.items():
        if len({each.left for each in same}) == len(same) > 1:
            yield Finding(
                subject=module or f"the model ({same[0].kind})",
                message="draws random numbers in evaluations",
                measured=(
                    f"its forward drew from {same[0].generator} in evaluation mode, and"
                    " no two evaluations left the generators in one state"
                ),
                expected="a seed that is set before each evaluation, or nothing drawn",
                at=same[0].at,
                severity=Severity.NOTE,
            )


def _evaluated(
    transform: Callable[[Any], Any],
    model: Any = None,
    *,
    evaluations: int = 2,
    shuffle: bool = False,
) -> None:
    import torch
    from torch.utils.data import DataLoader, Dataset, TensorDataset

    class HeldOut(Dataset[Any]):
        def __init__(self) -> None:
            self.samples = torch.randn(16, 4)

        def __len__(self) -> int:
            return len(self.samples)

        def __getitem__(self, index: int) -> Any:
            return transform(self.samples[index])

    model = torch.nn.Linear(4, 4) if model is None else model
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    train = DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3)
    valid = DataLoader(HeldOut(), batch_size=8, shuffle=shuffle)
    for _epoch in range(evaluations):
        model.train()
        for (batch,) in train:
            optimizer.zero_grad()
            model(batch).square().mean().backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            for batch in valid:
                model(batch.float())


def _flipped(sample: Any) -> Any:
    import torch

    return sample.flip(0) if torch.rand(()) < 0.5 else sample  # noqa: PLR2004 - a fair coin


def _masked(sample: Any) -> Any:
    import torch

    return (sample > 0) * torch.randint(0, 2, (4,))


def _unchanged(sample: Any) -> Any:
    return sample


def fails_when_held_out_data_is_flipped_at_random(_: Watch) -> None:
    _evaluated(_flipped)


def fails_as_a_note_when_tokens_are_masked_anew(_: Watch) -> None:
    _evaluated(_masked)


def fails_when_a_functional_dropout_is_not_told_the_mode(_: Watch) -> None:
    import torch
    from torch.nn import functional

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            dropped: torch.Tensor = functional.dropout(self.linear(x), 0.5)
            return dropped

    _evaluated(_unchanged, torch.nn.Sequential(Block(), torch.nn.Linear(4, 4)), evaluations=1)


def _noisy(*, seed: int | None = None) -> Any:
    import torch

    class Sampled(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if seed is not None and not self.training:
                torch.manual_seed(seed)
            mean: torch.Tensor = self.linear(x)
            return mean + torch.randn_like(mean)

    return Sampled()


def fails_as_a_note_when_a_latent_is_sampled_in_evaluations(_: Watch) -> None:
    _evaluated(_unchanged, _noisy())


def passes_when_a_seed_is_set_for_each_evaluation(_: Watch) -> None:
    _evaluated(_unchanged, _noisy(seed=0))


def passes_when_the_functional_dropout_is_told_the_mode(_: Watch) -> None:
    import torch
    from torch.nn import functional

    class Block(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(4, 4)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            x = self.linear(x)
            return functional.dropout(x, 0.5, training=self.training)

    _evaluated(_unchanged, torch.nn.Sequential(Block(), torch.nn.Linear(4, 4)))


def passes_when_held_out_data_is_the_same_each_time(_: Watch) -> None:
    _evaluated(_unchanged)


def passes_when_only_the_order_of_held_out_data_changes(_: Watch) -> None:
    _evaluated(_unchanged, shuffle=True)


def passes_when_dropout_is_left_on_purposely_for_uncertainty(_: Watch) -> None:
    import torch

    class Uncertain(torch.nn.Sequential):
        def eval(self) -> "Uncertain":
            super().eval()
            self[1].train()
            return self

    model = Uncertain(torch.nn.Linear(4, 4), torch.nn.Dropout(0.5))
    _evaluated(_unchanged, model)


def skips_when_nothing_is_evaluated(_: Watch) -> None:
    _evaluated(_unchanged, evaluations=0)
