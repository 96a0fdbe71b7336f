"""What becomes of a bank is measured as a naive look would."""

import pytest
import torch
from torch.nn import functional

from stepscope.evidence.course.banks import BankFound
from stepscope.evidence.course.line import Line
from stepscope.probes.course.banks import BankSampler
from stepscope.probes.course.pulse import Pulse


class Queued(torch.nn.Module):
    """Writes its batch over the oldest entries."""

    def __init__(self, name: str, first: torch.Tensor, *, across: bool = False) -> None:
        super().__init__()
        self.head = torch.nn.Linear(8, 8)
        self.name, self.across = name, across
        self.register_buffer(name, first.T.contiguous() if across else first)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = functional.normalize(self.head(x), dim=1)
        bank = self.get_buffer(self.name)
        bank = bank.T if self.across else bank
        new = torch.cat([1.5 * z.detach(), bank])[: len(bank)]
        setattr(self, self.name, new.T.contiguous() if self.across else new)
        return z.sum()


def train(model: torch.nn.Module, batch: int = 4, steps: int = 11) -> list[Line]:
    lines: list[Line] = []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pulse([BankSampler], line=lines.append, every=1):
        for _ in range(steps):
            optimizer.zero_grad()
            model(torch.randn(batch, 8)).backward()
            optimizer.step()
    return lines


def unit(entries: int) -> torch.Tensor:
    return functional.normalize(torch.randn(entries, 8), dim=1)


@pytest.mark.parametrize("across", [False, True])
def test_the_share_that_is_kept_falls_by_what_is_written(*, across: bool) -> None:
    lines = train(Queued("queue", unit(64), across=across))
    kept = {line.step: line.numbers["bank"]["queue kept"] for line in lines if line.numbers}
    assert kept == {1: 60 / 64, 2: 56 / 64, 10: 24 / 64, 11: 24 / 64}
    last = lines[-1].numbers["bank"]
    assert last["queue shortest"] == pytest.approx(1.5)
    assert last["queue longest"] == pytest.approx(1.5)
    assert last["queue twins"] == 0


def test_noise_is_known_by_its_spread() -> None:
    spread_out = train(Queued("memory_bank", unit(256)))
    (noise,) = (each for line in spread_out for each in line.happened)
    assert isinstance(noise, BankFound)
    assert noise.is_noise
    assert (noise.entries, noise.size, noise.dtype) == (256, 8, "float32")
    assert (noise.lower, noise.upper) == pytest.approx((1, 1))


@pytest.mark.parametrize("kind", ["zeros", "features"])
def test_zeros_and_features_are_no_noise(kind: str) -> None:
    features = functional.normalize(torch.randn(256, 8) + 2 * torch.ones(8), dim=1)
    first = torch.zeros(256, 8) if kind == "zeros" else features
    (found,) = (e for line in train(Queued("queue", first)) for e in line.happened)
    assert isinstance(found, BankFound)
    assert not found.is_noise


@pytest.mark.parametrize(("name", "entries"), [("running_stuff", 64), ("queue", 15)])
def test_other_buffers_are_no_banks(name: str, entries: int) -> None:
    assert train(Queued(name, unit(entries))) == []
