"""The promise of a sampler is checked on the labels, wherever in the batch they are."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from stepscope.evidence.course.line import Line
from stepscope.probes.course.identity_batches import IdentityBatchSampler
from stepscope.probes.course.pulse import Pulse

LABELS = [1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 5]


class Order(Sampler[int]):
    def __init__(self) -> None:
        self.m_per_class = 2

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(LABELS)))

    def __len__(self) -> int:
        return len(LABELS)


class Samples(Dataset[Any]):
    def __init__(self, form: str) -> None:
        self.form = form

    def __len__(self) -> int:
        return len(LABELS)

    def __getitem__(self, index: int) -> Any:
        image, label = torch.ones(2), LABELS[index]
        if self.form == "dictionary":
            return {"image": image, "pid": label, "index": index}
        if self.form == "nested":
            return image, {"pid": label}
        return image, label, index


def noted_of(form: str, sampler: Sampler[int] | None) -> list[Line]:
    noted: list[Line] = []
    with Pulse([IdentityBatchSampler], line=noted.append, every=1):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        for _ in DataLoader(Samples(form), 6, sampler=sampler):
            optimizer.step()
    return noted


@pytest.mark.parametrize("form", ["tuple", "dictionary", "nested"])
def test_the_share_that_is_kept_is_that_of_a_count_by_hand(form: str) -> None:
    noted = noted_of(form, Order())
    for line, labels in zip(noted, [LABELS[:6], LABELS[6:]], strict=True):
        counts = Counter(labels)
        kept = sum(count for count in counts.values() if count % 2 == 0) / 6
        assert line.numbers["identities"] == {"0.kept": kept, "0.labels": len(counts)}


def test_a_sampler_that_promises_nothing_is_not_looked_at() -> None:
    assert noted_of("tuple", None) == []
