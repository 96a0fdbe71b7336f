"""What comes out of loaders is counted as a loop would count it."""

import random
from typing import Any

import numpy as np
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    RandomSampler,
    TensorDataset,
    get_worker_info,
)

from stepscope.evidence.course.coverage import LoaderBegan
from stepscope.evidence.course.line import Line
from stepscope.evidence.course.repeated_orders import OrderRepeated
from stepscope.probes.course.copied_generators import copied_generators
from stepscope.probes.course.coverage import CoverageSampler
from stepscope.probes.course.pulse import Pulse

ROWS = TensorDataset(torch.ones(12, 2))


def train(loader: Any, optimizer: torch.optim.Optimizer, most: int = 100) -> int:
    """Take a step for each batch, and count."""
    steps = 0
    for _ in loader:
        optimizer.step()
        steps += 1
        if steps == most:
            break
    return steps


def watched(loop: Any) -> list[Line]:
    noted: list[Line] = []
    with Pulse([CoverageSampler], line=noted.append, every=1):
        loop(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1))
    return noted


def test_batches_passes_and_steps_are_counted_by_loader() -> None:
    def loop(optimizer: torch.optim.Optimizer) -> None:
        training, evaluating = DataLoader(ROWS, 4), DataLoader(ROWS, 6)
        for _ in range(3):
            train(training, optimizer)
            list(evaluating)
        train(training, optimizer, most=2)

    lines = watched(loop)
    assert lines[-1].numbers["coverage"] == {
        "0.batches": 11, "0.passes": 4, "0.longest": 3, "0.fed": 11,
        "1.batches": 6, "1.passes": 3, "1.longest": 2, "1.fed": 0,
    }  # fmt: skip


def test_a_loader_that_is_made_anew_for_each_epoch_is_the_same() -> None:
    def loop(optimizer: torch.optim.Optimizer) -> None:
        for _ in range(40):
            train(DataLoader(ROWS, 4), optimizer)

    lines = watched(loop)
    began = [each for line in lines for each in line.happened]
    assert [each.number for each in began if isinstance(each, LoaderBegan)] == [0]
    assert lines[-1].numbers["coverage"]["0.passes"] == 40


class Crops(Dataset[float]):
    def __init__(self, rng: Any) -> None:
        self.rng = rng
        self.split = random.Random(0)  # noqa: S311 - it is to repeat itself
        self.split.random()

    def __getitem__(self, index: int) -> float:
        return float(self.rng.random())


class SeededCrops(Crops):
    def __getitem__(self, index: int) -> float:
        worker = get_worker_info()
        self.rng = np.random.default_rng(worker.id if worker else 0)
        return super().__getitem__(index)


def test_a_generator_is_copied_if_a_method_draws_from_it() -> None:
    assert copied_generators(Crops(np.random.default_rng(0))) == ("rng",)
    assert copied_generators([Crops(np.random.RandomState(0))]) == ("0.rng",)
    assert copied_generators(Crops(np.random)) == ()  # seeded by the loader
    assert copied_generators(SeededCrops(np.random.default_rng(0))) == ()


def test_what_is_called_copied_gives_each_worker_the_same_numbers() -> None:
    def first_of_each_worker(crops: Crops) -> set[float]:
        loader = DataLoader(Rows(crops), 1, num_workers=2)
        return {float(batch) for batch in loader}

    assert len(first_of_each_worker(Crops(np.random.default_rng(0)))) == 1
    assert len(first_of_each_worker(SeededCrops(np.random.default_rng(0)))) == 2


class Rows(Dataset[float]):
    def __init__(self, crops: Crops) -> None:
        self.crops = crops

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: int) -> float:
        return self.crops[index]


def alike(loop: Any) -> list[OrderRepeated]:
    told = [each for line in watched(loop) for each in line.happened]
    return [each for each in told if isinstance(each, OrderRepeated)]


def test_three_passes_that_are_shuffled_from_one_state_are_told_of_once() -> None:
    def loop(optimizer: torch.optim.Optimizer) -> None:
        generator = torch.Generator()
        loader = DataLoader(ROWS, 4, shuffle=True, generator=generator)
        for _ in range(5):
            generator.manual_seed(3)
            train(loader, optimizer)

    (told,) = alike(loop)
    assert (told.loader, told.passes, told.own_generator) == (0, 3, True)


def test_a_sampler_that_draws_elsewhere_is_left_alone_though_the_seed_is_set_anew() -> None:
    def loop(optimizer: torch.optim.Optimizer) -> None:
        sampler = RandomSampler(ROWS, generator=torch.Generator())
        for _ in range(4):
            torch.manual_seed(3)
            train(DataLoader(ROWS, 4, sampler=sampler), optimizer)

    assert alike(loop) == []


def test_passes_without_a_step_between_them_are_no_epochs() -> None:
    def loop(_: torch.optim.Optimizer) -> None:
        for _pass in range(4):
            torch.manual_seed(3)
            list(DataLoader(ROWS, 4, shuffle=True))

    assert alike(loop) == []
