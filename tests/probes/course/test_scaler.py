"""Steps that a scaler leaves out are counted, and nothing is read for it."""

from itertools import groupby

import pytest
import torch

from stepscope.evidence.course.line import Line
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.course.scaler import ScalerSampler

PATTERNS = ["..x..", "x" * 6, ".xx.xxx", "...."]


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("fused", [False, True])
def test_counts_are_those_of_the_batches_with_inf(pattern: str, *, fused: bool) -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.ones(2))
    with Pulse([ScalerSampler], line=noted.append, every=1):
        optimizer = torch.optim.SGD([weight], lr=0.1, fused=fused)
        scaler = torch.amp.GradScaler("cpu")
        for batch in pattern:
            optimizer.zero_grad()
            scaler.scale((weight * (float("inf") if batch == "x" else 1.0)).sum()).backward()
            scaler.step(optimizer)
            scaler.update()
    numbers = noted[-1].numbers["scaler"]
    last, run = [(key, len(list(group))) for key, group in groupby(pattern)][-1]
    assert numbers["asked"] == len(pattern)
    assert numbers["skipped"] == pattern.count("x")
    assert numbers["in a row"] == (run if last == "x" else 0)
    assert numbers["scale"] == 2.0 ** (16 - pattern.count("x"))


def test_a_scaler_that_is_switched_off_is_none() -> None:
    noted: list[Line] = []
    weight = torch.nn.Parameter(torch.ones(2))
    with Pulse([ScalerSampler], line=noted.append, every=1):
        optimizer = torch.optim.SGD([weight], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", enabled=False)
        scaler.scale(weight.sum()).backward()
        scaler.step(optimizer)
    assert not noted
