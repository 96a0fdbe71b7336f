"""A part of the data is never seen.

## What it proves
- Warning: the loader that feeds the training goes through its data set in order, and in none of its
  two passes or more did it get beyond the same part of it: what follows was never seen.
- Note: the run came to its end before its first pass over the data was over.

## Why it matters
A loop with a `break` or `limit_train_batches`, and no shuffling, trains on the same first batches
for ever. Where files are sorted by class or by scene, whole classes are missing.

## What to do
Shuffle, or let the loop run to the end of the loader. With `drop_last=True` and no shuffling, the
same last samples are left out each time: drop one of the two.

## Limits
Judged when the run has come to its own end, for a `DataLoader` over a data set with a length. Left
alone are loaders that shuffle or have a sampler of their own: each pass may choose other samples.
Up to a twentieth of the data is allowed to be missing.

## Sources
- https://docs.pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader: without `shuffle`, a
  `SequentialSampler` always gives the same order.
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.coverage import CoverageCurves, LoaderBeginnings
from stepscope.evidence.course.endings import Endings

REPEATED = 2  # passes


@rule("DAT002", Severity.WARNING)
def coverage(
    beginnings: LoaderBeginnings,
    curves: CoverageCurves,
    endings: Endings,
    *,
    missing: float = 0.05,
) -> Findings:
    if endings.steps is None:
        raise NotJudged("the run did not come to its own end")
    loader = curves.feeding(beginnings)
    if loader is None or loader.batches is None or loader.size is None or not loader.size:
        raise NotJudged("needs a data set with a length, from which the steps were fed")
    given, passes, longest = (
        curves.latest(loader.number, what) for what in ("batches", "passes", "longest")
    )
    counts = f"{given} batches in {passes} passes, of {loader.batches} in a whole one"
    unseen = round(loader.size * (1 - longest / loader.batches))
    if loader.batch_size is not None and loader.sequential:  # what `drop_last` drops is unseen too
        unseen = max(0, loader.size - longest * loader.batch_size)
    if loader.sequential and passes >= REPEATED and unseen > missing * loader.size:
        yield Finding(
            subject=f"DataLoader of {loader.dataset}",
            message="goes through its data in order, and never gets to the end",
            measured=f"{counts}; the longest pass had {longest} batches: {unseen} of the "
            f"{loader.size} samples were never seen",
            expected=f"at most {missing:.0%} of the samples",
            at=loader.at,
        )
    elif given < loader.batches and unseen > missing * loader.size:
        yield Finding(
            subject=f"DataLoader of {loader.dataset}",
            message="was not gone through once",
            measured=f"{counts}: the run saw {given / loader.batches:.0%} of the {loader.size} "
            "samples, at most",
            expected="a pass over all of the data",
            at=loader.at,
            severity=Severity.NOTE,
        )


def fails_when_a_loop_breaks_off_each_pass_at_the_same_batch(_: Watch) -> None:
    import itertools

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.ones(16, 4)), batch_size=1)
    for _epoch in range(2):
        for (x,) in itertools.islice(loader, 15):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()


def passes_when_a_twentieth_is_missing(_: Watch) -> None:
    import itertools

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.ones(20, 4)), batch_size=1)
    for _epoch in range(2):
        for (x,) in itertools.islice(loader, 19):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()


def passes_when_each_pass_is_shuffled(_: Watch) -> None:
    import itertools

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.ones(8, 4)), batch_size=1, shuffle=True)
    for _epoch in range(2):
        for (x,) in itertools.islice(loader, 4):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()


def fails_with_a_warning_when_the_same_samples_are_dropped_in_each_pass(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.ones(15, 4)), batch_size=8, drop_last=True)
    for _epoch in range(2):
        for (x,) in loader:
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()


def fails_with_a_note_when_the_run_ends_within_the_first_pass(_: Watch) -> None:
    import itertools

    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(TensorDataset(torch.ones(16, 4)), batch_size=1, shuffle=True)
    for (x,) in itertools.islice(loader, 15):
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()


def skips_a_run_that_was_interrupted(watch: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    from stepscope.evidence.course.endings import RunEnded

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for (x,) in DataLoader(TensorDataset(torch.ones(8, 4)), batch_size=4):
        model(x).sum().backward()
        optimizer.step()
    watch.saw(Endings(seen=((2, RunEnded(finished=False)),), count=1))


def skips_data_without_a_length(_: Watch) -> None:
    import torch

    class Stream(torch.utils.data.IterableDataset[torch.Tensor]):
        def __iter__(self):  # type: ignore[no-untyped-def]  # noqa: ANN204 - the page stays short
            return iter(torch.ones(4, 4))

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in torch.utils.data.DataLoader(Stream(), batch_size=2):
        model(x).sum().backward()
        optimizer.step()
