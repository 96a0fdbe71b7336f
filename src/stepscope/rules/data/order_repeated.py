"""Every epoch shuffles the data into the same order.

## What it proves
The loader that feeds the training shuffles, and three passes on end began with its random generator
in the very same state, with steps of one training in each: samples came in the same order, and in
the same batches, each time.

## Why it matters
Batches never mix: each sample is seen with the same companions, which contrastive losses and batch
statistics take for the whole of the data. Workers draw their seeds from the same generator, and
random augmentation repeats with the order: ten epochs show what one would.

## What to do
Set the seed once, before the first epoch, or from the epoch: `torch.manual_seed(seed + epoch)`.
The same holds for a `generator` that is given to the `DataLoader`. What resets the generator may
be a function that is called once an epoch, such as an evaluation that makes itself repeatable: let
it put back the state that it found.

## Limits
Known of a `DataLoader` with `shuffle=True`, without a sampler of its own and without
`persistent_workers`. Passes that are not shuffled at all are left alone (DAT002), and so are those
of two trainings in one program that begin with the same seed.

## Sources
- https://docs.pytorch.org/docs/stable/notes/randomness.html#dataloader
"""

from stepscope.core import Finding, Findings, Severity, Watch, rule
from stepscope.evidence.course.coverage import CoverageCurves, LoaderBeginnings
from stepscope.evidence.course.repeated_orders import RepeatedOrders


@rule("DAT007", Severity.WARNING)
def order_repeated(
    beginnings: LoaderBeginnings, curves: CoverageCurves, repeated: RepeatedOrders | None
) -> Findings:
    feeding = curves.feeding(beginnings)
    for step, each in repeated.seen if repeated is not None else ():
        if feeding is not None and each.loader == feeding.number:
            generator = "its own generator" if each.own_generator else "torch's global generator"
            yield Finding(
                subject=f"DataLoader of {feeding.dataset}",
                message="shuffles its data into the same order in each pass",
                measured=f"{each.passes} passes on end began from one state of {generator},"
                f" the last of them at step {step}",
                expected="a seed that is set once, or anew from the number of the epoch",
                at=each.at,
            )


def _train(*, seed_of_epoch: object, shuffle: bool = True, epochs: int = 3) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    data = TensorDataset(torch.ones(16, 4))
    for epoch in range(epochs):
        torch.manual_seed(seed_of_epoch(epoch) if callable(seed_of_epoch) else 42)
        for (x,) in DataLoader(data, batch_size=4, shuffle=shuffle):
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()


def fails_when_each_epoch_sets_the_same_seed(_: Watch) -> None:
    _train(seed_of_epoch=None)


def fails_when_the_generator_of_the_loader_is_reset(_: Watch) -> None:
    import torch
    from torch.utils.data import DataLoader, TensorDataset

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    generator = torch.Generator()
    loader = DataLoader(TensorDataset(torch.ones(16, 4)), shuffle=True, generator=generator)
    for _epoch in range(3):
        generator.manual_seed(1)
        for (x,) in loader:
            optimizer.zero_grad()
            model(x).sum().backward()
            optimizer.step()


def passes_when_the_seed_goes_with_the_epoch(_: Watch) -> None:
    _train(seed_of_epoch=int)


def passes_when_two_passes_are_alike(_: Watch) -> None:
    _train(seed_of_epoch=None, epochs=2)


def passes_when_nothing_is_shuffled(_: Watch) -> None:
    _train(seed_of_epoch=None, shuffle=False)


def passes_when_trainings_of_one_epoch_begin_with_the_same_seed(_: Watch) -> None:
    for _training in range(3):
        _train(seed_of_epoch=None, epochs=1)


def skips_without_a_loader(_: Watch) -> None:
    import torch

    torch.optim.SGD([torch.nn.Parameter(torch.ones(2))], lr=0.1).step()
