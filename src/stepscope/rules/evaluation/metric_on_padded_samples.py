"""An evaluation counts samples twice, or counts what is no sample.

## What it proves
Warning: a sampler padded the held-out data, giving some samples to two processes, and processes
added up numbers, or exchanged fewer than they had samples: from sums no sample can be taken out
again. Or the last batch of a pass has as many rows as the others, though fewer samples were left,
and nothing in the batch says which rows count. Or held-out samples are drawn with replacement:
some are counted several times, others never. Note: the sampler padded, and whether the repeated
samples are taken out is not known; or they are less than 0.1 % of the data.

## Why it matters
The score depends on the number of processes and on the batch size, and is not the one that others
get for the same model. In retrieval the repeated sample is its own best match.

## What to do
Evaluate on one process, or gather predictions with the indices of their samples and drop what came
twice: `gather_for_metrics` of `accelerate` does. Without shuffling, the repeated
ones are those after the first `len(dataset)` of the gathered, interleaved list. Keep the last
batch short, or return a mask.

## Limits
A sampler is known by its `total_size` and `num_replicas`, as torch's `DistributedSampler` has them;
those that wrap batch samplers (`accelerate`) are not seen, and take care of themselves. Collectives
are heard through `torch.distributed` only. Of the last batch a mask is known by its type or by its
name, and labels of rows that are no samples by being negative. What the program pads after the
loader has given it is not seen.

## Sources
- https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler
- https://huggingface.co/docs/accelerate/quicktour (`gather_for_metrics`)
"""

from collections.abc import Iterator
from typing import Any

from stepscope.core import Finding, Findings, Place, Severity, Watch, rule
from stepscope.evidence.course.held_out import HeldOutPasses
from stepscope.evidence.course.repeated_samples import RepeatedSamples, SamplesRepeated


@rule("EVL006", Severity.WARNING)
def metric_on_padded_samples(
    passes: HeldOutPasses,  # noqa: ARG001 - without one there is nothing to judge
    repeated: RepeatedSamples | None,
    *,
    negligible: float = 0.001,  # of all samples: the last digit of a score such as 93.7 %
) -> Findings:
    found: dict[tuple[int, str], Finding] = {}
    for _, each in repeated.seen if repeated is not None else ():
        for finding in _findings(each, negligible):
            found.setdefault((each.data, finding.message), finding)
    yield from found.values()


def _findings(each: SamplesRepeated, negligible: float) -> Iterator[Finding]:
    subject = f"{each.kind} ({each.size} samples)"
    if each.replaces:
        yield Finding(
            subject=subject,
            message="is evaluated on samples drawn with replacement",
            measured=f"{each.sampler}, evaluation after {each.evaluated} steps",
            expected="each sample once",
            at=each.at,
        )
    if each.rows > each.left:
        yield Finding(
            subject=subject,
            message="has a last batch that is filled up",
            measured=f"{each.rows} rows, of which {each.left} are samples; no tensor says which",
            expected="a short last batch, or a mask",
            at=each.at,
        )
    if each.repeated:
        yield _padded(subject, each, negligible)


def _padded(subject: str, each: SamplesRepeated, negligible: float) -> Finding:
    is_summed = each.summed or each.gathered > 0
    is_counted = is_summed and not each.objects and each.gathered < each.own
    where = (
        f"{each.sampler} gives {each.repeated} of {each.size} twice to {each.replicas} processes"
    )
    if is_counted:
        how = (
            "they added up numbers" if each.summed else "they exchanged fewer numbers than samples"
        )
    else:
        how = "nothing shows whether they are taken out again"
    return Finding(
        subject=subject,
        message="is evaluated with samples that count twice",
        measured=f"{where}; {how}",
        expected="each sample once",
        at=each.at,
        severity=None if is_counted and each.repeated >= negligible * each.size else Severity.NOTE,
    )


def _evaluated(batches: Any) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for (batch,) in DataLoader(TensorDataset(torch.randn(6, 4)), batch_size=3):
        optimizer.zero_grad()
        model(batch).square().mean().backward()
        optimizer.step()
    model.eval()
    with torch.no_grad():
        for batch in batches:
            model(batch[0])


def _pairs(size: int = 6) -> Any:
    import torch
    from torch.utils.data import TensorDataset

    return TensorDataset(torch.randn(size, 4), torch.arange(size) % 2)


def _filled(samples: Any, *, mask: bool = False) -> Any:
    import torch

    images, labels = (torch.stack(each) for each in zip(*samples, strict=True))
    missing = 4 - len(images)
    counts = torch.arange(4) < len(images)
    images = torch.cat([images, images[:1].expand(missing, -1)])
    labels = torch.cat([labels, labels[:1].expand(missing)])
    return (images, labels, counts) if mask else (images, labels)


def fails_when_the_last_batch_is_filled_up_with_copies(_: Watch) -> None:
    from torch.utils.data import DataLoader

    _evaluated(DataLoader(_pairs(6), batch_size=4, collate_fn=_filled))


def fails_when_held_out_samples_are_drawn_with_replacement(_: Watch) -> None:
    from torch.utils.data import DataLoader, WeightedRandomSampler

    _evaluated(DataLoader(_pairs(), batch_size=3, sampler=WeightedRandomSampler([1.0] * 6, 6)))


def fails_as_a_note_when_a_padded_pass_exchanges_nothing_that_is_seen(_: Watch) -> None:
    from torch.utils.data import DataLoader, DistributedSampler

    data = _pairs(5)
    sampler: Any = DistributedSampler(data, num_replicas=2, rank=0, shuffle=False)
    _evaluated(DataLoader(data, batch_size=3, sampler=sampler))


def fails_with_a_warning_when_one_in_a_thousand_counts_twice(watch: Watch) -> None:
    _evaluated_and_saw(watch, size=1000, repeated=1, summed=True)


def fails_with_a_note_when_one_in_1001_counts_twice(watch: Watch) -> None:
    _evaluated_and_saw(watch, size=1001, repeated=1, summed=True)


def fails_with_a_warning_when_fewer_numbers_than_samples_are_gathered(watch: Watch) -> None:
    _evaluated_and_saw(watch, size=100, repeated=4, own=52, gathered=51)


def fails_with_a_note_when_as_many_numbers_as_samples_are_gathered(watch: Watch) -> None:
    _evaluated_and_saw(watch, size=100, repeated=4, own=52, gathered=52)


def fails_with_a_note_when_objects_are_gathered(watch: Watch) -> None:
    _evaluated_and_saw(watch, size=100, repeated=4, summed=True, objects=True)


def passes_when_the_last_batch_is_short(_: Watch) -> None:
    from torch.utils.data import DataLoader

    _evaluated(DataLoader(_pairs(6), batch_size=4))


def passes_when_a_mask_says_which_rows_count(_: Watch) -> None:
    from functools import partial

    from torch.utils.data import DataLoader

    _evaluated(DataLoader(_pairs(6), batch_size=4, collate_fn=partial(_filled, mask=True)))


def passes_when_the_processes_share_the_data_evenly(_: Watch) -> None:
    from torch.utils.data import DataLoader, DistributedSampler

    data = _pairs(6)
    sampler: Any = DistributedSampler(data, num_replicas=2, rank=0, shuffle=False)
    _evaluated(DataLoader(data, batch_size=3, sampler=sampler))


def passes_when_what_is_left_over_is_dropped(_: Watch) -> None:
    from torch.utils.data import DataLoader, DistributedSampler

    data = _pairs(5)
    sampler: Any = DistributedSampler(data, num_replicas=2, rank=0, shuffle=False, drop_last=True)
    _evaluated(DataLoader(data, batch_size=2, sampler=sampler))


def skips_when_no_loader_gives_held_out_data(_: Watch) -> None:
    _evaluated([])


def _evaluated_and_saw(watch: Watch, *, size: int, repeated: int, **heard: Any) -> None:
    from torch.utils.data import DataLoader

    _evaluated(DataLoader(_pairs(6), batch_size=3))
    facts = {"replicas": 8, "own": (size + repeated) // 8, **heard}
    each = SamplesRepeated(
        data=0, kind="Pairs", size=size, sampler="DistributedSampler", repeated=repeated,
        evaluated=2, at=Place(file="train.py", line=40), **facts,
    )  # fmt: skip
    watch.saw(RepeatedSamples(seen=((2, each),), count=1))
