"""Counters are read where they stand: as attributes, and as buffers."""

import torch

from stepscope.evidence.course.counters import CounterFound
from stepscope.evidence.course.line import Line
from stepscope.probes.course.counters import CounterSampler
from stepscope.probes.course.pulse import Pulse


class Gated(torch.nn.Linear):
    """Counts its calls twice."""

    def __init__(self) -> None:
        super().__init__(4, 1)
        self.calls, self.warmup_calls = 0, 7
        self.register_buffer("step", torch.zeros(1, dtype=torch.long))
        self.register_buffer("queue", torch.zeros(32, 4))
        self.start = torch.tensor(5.0)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.step += 1
        is_on = self.calls > self.warmup_calls or int(self.step) >= self.start
        return super().forward(x) * (2.0 if is_on else 1.0)


def test_each_sampled_step_reads_both_counters() -> None:
    lines: list[Line] = []
    model = Gated()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pulse([CounterSampler], line=lines.append, every=2):
        for _ in range(4):
            model(torch.ones(1, 4)).sum().backward()
            model(torch.ones(1, 4)).sum().backward()
            optimizer.step()
    read = [line.numbers["counter"] for line in lines]
    assert read == [{"calls": 2, "step": 2}, {"calls": 6, "step": 6}, {"calls": 8, "step": 8}]
    first, second = lines[0].happened
    assert isinstance(first, CounterFound)
    assert isinstance(second, CounterFound)
    assert (first.name, first.threshold, first.limit) == ("calls", "warmup_calls", 7)
    assert (second.name, second.threshold, second.limit) == ("step", "start", 5)
    assert (first.is_inclusive, second.is_inclusive) == (False, True)
    assert first.of_bank
    assert second.of_bank
