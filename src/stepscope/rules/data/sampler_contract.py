"""Batches do not hold as many samples of each identity as their sampler promises.

## What it proves
The sampler of a loader was made for K samples of each identity (`num_instances=4`). In most of the
batches that were looked at, some labels occurred another number of times than K or a multiple of
it, whichever whole numbers of the batch are taken for the labels.

## Why it matters
Losses over pairs and triplets need positives. With one sample of most identities a triplet loss has
nothing to pull together, and a hard-mining loss finds its own anchor.

## What to do
Make the batch size a multiple of K. Hand the sampler the labels of the very data set that the
loader has, in its order. Keep a library from replacing it (`use_distributed_sampler=False`).

## Limits
Needs five sampled batches with labels on the CPU. Known are `num_instances`, `m_per_class`,
`samples_per_class` and `num_samples_per_class`. A last batch that is short is allowed, and an
identity that has fewer than K samples if the sampler repeats them.

## Sources
- Hermans, Beyer, Leibe, "In Defense of the Triplet Loss for Person Re-Identification", 2017,
  section 2: P classes, K images of each.
"""

from statistics import median

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.identity_batches import IdentityCurves, IdentitySamplers

FEWEST = 5  # batches


@rule("DAT006", Severity.WARNING)
def sampler_contract(samplers: IdentitySamplers, curves: IdentityCurves) -> Findings:
    judged = False
    for _, sampler in samplers.seen:
        kept = curves.series.get(f"{sampler.number}.kept")
        if kept is None or len(kept) < FEWEST:
            continue
        judged = True
        broken = [share for _, share in kept if share < 1]
        if 2 * len(broken) <= len(kept):
            continue
        labels = curves.series[f"{sampler.number}.labels"]
        yield Finding(
            subject=sampler.sampler,
            message="does not give as many samples of each identity as it was made for",
            measured=f"{sampler.setting}; in {len(broken)} of {len(kept)} batches some labels "
            f"occur another number of times: {1 - median(broken):.0%} of their rows (median), "
            f"{median(labels.values):.0f} labels in a batch",
            expected="each label so many times, or a multiple of it",
            at=sampler.at,
        )
    if not judged:
        raise NotJudged(f"needs {FEWEST} batches with labels")


def _train(labels: list[int], *, batch_size: int) -> None:
    """Train on samples in this order, by a sampler that promises two of each."""
    import torch
    from torch.utils.data import DataLoader, SequentialSampler, TensorDataset

    class PairSampler(SequentialSampler):
        num_instances: int

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.ones(len(labels), 4), torch.tensor(labels))
    sampler = PairSampler(data)
    sampler.num_instances = 2
    for x, _identity in DataLoader(data, batch_size, sampler=sampler):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()


def fails_when_the_batch_size_is_odd(_: Watch) -> None:
    _train([1, 1, 2, 2, 3, 3] * 3, batch_size=3)


def fails_when_three_of_five_batches_break_it(_: Watch) -> None:
    _train([1, 1, 2, 2] * 2 + [1, 1, 2, 3] * 3, batch_size=4)


def passes_when_two_of_five_batches_break_it(_: Watch) -> None:
    _train([1, 1, 2, 2] * 3 + [1, 1, 2, 3] * 2, batch_size=4)


def passes_when_an_identity_comes_four_times(_: Watch) -> None:
    _train([1, 1, 1, 1, 2, 2] * 5, batch_size=6)


def skips_four_batches(_: Watch) -> None:
    _train([1, 2, 3, 4] * 4, batch_size=4)
