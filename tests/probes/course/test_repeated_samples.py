"""What a pass of an evaluation was given besides each sample once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, distributed, nn
from torch.utils.data import (
    DataLoader,
    DistributedSampler,
    RandomSampler,
    Sampler,
    TensorDataset,
    WeightedRandomSampler,
)

from stepscope.evidence.course.line import Line
from stepscope.evidence.course.repeated_samples import SamplesRepeated
from stepscope.probes.course.evaluations import EvaluationSampler
from stepscope.probes.course.pulse import Pulse

SIZE, BATCH = 7, 3  # the last batch has one sample
DATA = TensorDataset(torch.randn(SIZE, 3), torch.arange(SIZE))


def told(loader: DataLoader[Any], after: Callable[[], object] = int) -> list[SamplesRepeated]:
    """Train for two steps, evaluate on this loader, train again."""
    lines: list[Line] = []
    pulse = Pulse([EvaluationSampler], line=lines.append, every=1000)
    with pulse:
        net = nn.Linear(3, 2)
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
        train = DataLoader(TensorDataset(torch.randn(4, 3)), batch_size=2)
        for epoch in range(2):
            for (batch,) in train:
                optimizer.zero_grad()
                net(batch).square().mean().backward()
                optimizer.step()
            if epoch == 0:
                net.eval()
                with torch.no_grad():
                    for batch in loader:
                        net(batch[0])
                after()
                net.train()
    assert not pulse.run.faults
    return [each for line in lines for each in line.happened if isinstance(each, SamplesRepeated)]


def filled(label: int = 0) -> Callable[[Any], list[Tensor]]:
    def collate(samples: Any) -> list[Tensor]:
        images, labels = (torch.stack(each) for each in zip(*samples, strict=True))
        missing = BATCH - len(images)
        return [
            torch.cat([images, torch.zeros(missing, 3)]),
            torch.cat([labels, torch.full((missing,), label)]),
        ]

    return collate


class Interleaved(Sampler[int]):
    """As other libraries have it: no subclass of torch's own."""

    def __init__(self, size: int, num_replicas: int) -> None:
        self.num_replicas = num_replicas
        self.num_samples = -(-size // num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Any:
        return iter(range(self.num_samples))

    def __len__(self) -> int:
        return self.num_samples


@pytest.mark.parametrize("replicas", range(1, 9))
@pytest.mark.parametrize("drop_last", [True, False])
def test_padding_is_what_the_shares_of_all_processes_have_too_much(
    replicas: int, *, drop_last: bool
) -> None:
    shares = [
        list(DistributedSampler(DATA, replicas, rank, shuffle=False, drop_last=drop_last))
        for rank in range(replicas)
    ]
    given = [index for share in shares for index in share]
    own: Any = DistributedSampler(DATA, replicas, 0, shuffle=False, drop_last=drop_last)
    found = told(DataLoader(DATA, batch_size=BATCH, sampler=own))
    expected = len(given) - len(set(given))
    assert [each.repeated for each in found] == ([expected] if expected else [])
    assert all(each.own == len(shares[0]) for each in found)


def test_a_sampler_of_another_library_is_known_by_what_it_promises() -> None:
    (said,) = told(DataLoader(DATA, batch_size=BATCH, sampler=Interleaved(SIZE, 2)))
    assert (said.sampler, said.replicas, said.own, said.repeated) == ("Interleaved", 2, 4, 1)


@pytest.mark.parametrize(
    ("sampler", "replaces"),
    [
        (WeightedRandomSampler([1.0] * SIZE, SIZE), True),
        (RandomSampler(DATA, replacement=True), True),
        (WeightedRandomSampler([1.0] * SIZE, SIZE, replacement=False), False),
        (RandomSampler(DATA), False),
    ],
)
def test_only_samplers_that_replace_repeat_by_chance(
    sampler: Sampler[int], *, replaces: bool
) -> None:
    found = told(DataLoader(DATA, batch_size=BATCH, sampler=sampler))
    assert [each.replaces for each in found] == ([True] if replaces else [])


def test_a_last_batch_that_is_filled_up_is_told() -> None:
    (said,) = told(DataLoader(DATA, batch_size=BATCH, collate_fn=filled()))
    assert (said.rows, said.left, said.size) == (BATCH, 1, SIZE)


@pytest.mark.parametrize(
    "loader",
    [
        DataLoader(DATA, batch_size=BATCH),
        DataLoader(DATA, batch_size=BATCH, collate_fn=filled(label=-100)),
        DataLoader(DATA, batch_size=BATCH, drop_last=True, collate_fn=filled()),
        DataLoader(TensorDataset(*DATA[:6]), batch_size=BATCH, collate_fn=filled()),
        DataLoader(DATA, batch_size=SIZE + 1),
    ],
    ids=["short", "marked by labels", "dropped", "even", "one batch"],
)
def test_other_last_batches_are_left_alone(loader: DataLoader[Any]) -> None:
    assert not told(loader)


@pytest.fixture
def _alone() -> Any:
    store = distributed.HashStore()
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


def _sums() -> None:
    distributed.all_reduce(torch.ones(2))


def _gathers() -> None:
    parts = [torch.empty(5)]
    distributed.all_gather(parts, torch.ones(5))


def _gathers_objects() -> None:
    distributed.all_gather_object([None], "all")


@pytest.mark.usefixtures("_alone")
@pytest.mark.parametrize(
    ("after", "heard"),
    [
        (int, (False, 0, False)),
        (_sums, (True, 0, False)),
        (_gathers, (False, 5, False)),
        (_gathers_objects, (False, 0, True)),
    ],
)
def test_exchanges_of_an_evaluation_are_heard(
    after: Callable[[], object], heard: tuple[bool, int, bool]
) -> None:
    plain = distributed.all_reduce
    (said,) = told(DataLoader(DATA, batch_size=BATCH, sampler=Interleaved(SIZE, 2)), after)
    assert (said.summed, said.gathered, said.objects) == heard
    assert distributed.all_reduce is plain
