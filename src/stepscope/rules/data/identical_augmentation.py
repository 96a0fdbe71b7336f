"""All workers of a loader draw the same random numbers.

## What it proves
The data set, or a part of it such as a transform, holds a random generator of its own and draws
from it. Each worker process gets a copy in the same state, nothing seeds the copies differently,
and unless the workers are persistent each pass begins with such copies again.

## Why it matters
With four workers, four samples in a row are augmented alike, and in each pass every worker repeats
the augmentations of the pass before. The data are less varied than they look.

## What to do
Draw from `torch.rand` and its kin, from `random` or from `np.random` itself: `DataLoader` seeds
these in each worker and pass. Or give a `worker_init_fn` that makes the generator anew from
`torch.initial_seed()`.

## Limits
A generator that only `__init__` uses is left alone; so is any where a `worker_init_fn` is given or
the code of the data set asks for `get_worker_info`. That the numbers drawn matter is not proved,
hence a warning. With a single worker it is judged from the second pass on.

## Sources
- https://docs.pytorch.org/docs/stable/data.html#randomness-in-multi-process-data-loading: each
  worker's seed is base_seed + worker_id; "seeds for other libraries may be duplicated".
"""

from stepscope.core import Finding, Findings, NotJudged, Severity, Watch, rule
from stepscope.evidence.course.coverage import CoverageCurves, LoaderBeginnings

REPEATED = 2  # passes, or workers


@rule("DAT003", Severity.WARNING)
def identical_augmentation(beginnings: LoaderBeginnings, curves: CoverageCurves | None) -> Findings:
    with_workers = [each for _, each in beginnings.seen if each.workers]
    if not with_workers:
        raise NotJudged("no loader has workers")
    for loader in with_workers:
        passes = curves.latest(loader.number, "passes") if curves is not None else 1
        again = passes >= REPEATED and not loader.persistent
        if loader.seeds_workers or not (loader.workers >= REPEATED or again):
            continue
        for generator in loader.generators:
            yield Finding(
                subject=f"DataLoader of {loader.dataset}",
                message=f"gives each of its workers a copy of `{generator}` in the same state",
                measured=f"{loader.workers} workers, no `worker_init_fn`; the data set draws from "
                f"`{generator}`",
                expected="generators that are seeded in each worker",
                at=loader.at,
            )


def _began(generators: tuple[str, ...], *, workers: int, seeds: bool) -> LoaderBeginnings:
    """Return a loader over data that hold these generators."""
    from stepscope.evidence.course.coverage import LoaderBegan

    began = LoaderBegan(
        number=0,
        dataset="Crops",
        size=100,
        batches=10,
        batch_size=10,
        workers=workers,
        shuffled=True,
        sequential=False,
        drop_last=False,
        persistent=False,
        seeds_workers=seeds,
        generators=generators,
    )
    return LoaderBeginnings(seen=((0, began),), count=1)


def fails_when_two_workers_copy_a_generator(watch: Watch) -> None:
    watch.saw(_began(("rng",), workers=2, seeds=False))


def fails_when_one_worker_begins_each_pass_with_the_same_copy(watch: Watch) -> None:
    from stepscope.evidence.course.series import Series

    watch.saw(_began(("rng",), workers=1, seeds=False))
    watch.saw(CoverageCurves(series={"0.passes": Series((0, 10), (1.0, 2.0))}))


def passes_when_one_worker_makes_one_pass(watch: Watch) -> None:
    watch.saw(_began(("rng",), workers=1, seeds=False))


def passes_when_a_worker_init_fn_is_given(watch: Watch) -> None:
    watch.saw(_began(("rng",), workers=2, seeds=True))


def passes_when_the_data_draw_from_torch(watch: Watch) -> None:
    watch.saw(_began((), workers=2, seeds=False))


def skips_a_loader_without_workers(_: Watch) -> None:
    import random

    import torch

    class Crops(torch.utils.data.Dataset[torch.Tensor]):
        def __init__(self) -> None:
            self.rng = random.Random(0)  # noqa: S311 - nothing is to be kept secret

        def __len__(self) -> int:
            return 8

        def __getitem__(self, index: int) -> torch.Tensor:
            return torch.ones(4) * self.rng.random()

    model = torch.nn.Linear(4, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for x in torch.utils.data.DataLoader(Crops(), batch_size=4):
        model(x).sum().backward()
        optimizer.step()
