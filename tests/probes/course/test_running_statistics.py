"""Running statistics that evaluation cannot use are found, layer by layer."""

import torch

from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.running_statistics import StatisticsBroken
from stepscope.evidence.course.unlearnt_statistics import StatisticsUnlearnt
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.running_statistics import RunningStatisticsSampler


def train(*layers: torch.nn.Module, nan_at: int | None = None) -> list[Happening]:
    lines: list[Line] = []
    model = torch.nn.Sequential(torch.nn.Linear(4, 4), *layers)
    optimizer = torch.optim.SGD(model[0].parameters(), lr=0.0)
    with Pulse([RunningStatisticsSampler], line=lines.append, every=1):
        for step in range(11):
            x = torch.full((8, 4), torch.nan) if step == nan_at else torch.randn(8, 4)
            model(x).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    return [each for line in lines for each in line.happened]


def test_one_batch_of_nan_breaks_all_layers_behind_it() -> None:
    found = train(torch.nn.BatchNorm1d(4), torch.nn.BatchNorm1d(4), nan_at=1)
    assert found == [StatisticsBroken(layers=("1", "2"), until=1)]


def test_a_layer_in_training_mode_learns() -> None:
    assert train(torch.nn.BatchNorm1d(4), torch.nn.BatchNorm1d(4, momentum=None)) == []


def test_a_layer_that_sleeps_as_it_was_made_is_told_of_once() -> None:
    found = train(torch.nn.BatchNorm1d(4), torch.nn.BatchNorm1d(4).eval())
    assert found == [StatisticsUnlearnt(layers=("2",), is_training=False, momentum=0.1, until=10)]
