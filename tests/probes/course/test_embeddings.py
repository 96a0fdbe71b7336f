"""The likeness of embeddings is that of all pairs, and looking leaves the loss as it is."""

import pytest
import torch
from torch.nn import functional

from stepscope.evidence.course.embeddings import ContrastFound
from stepscope.evidence.course.line import Line
from stepscope.probes.course.embeddings import EmbeddingSampler
from stepscope.probes.course.pulse import Pulse


def test_the_mean_cosine_is_that_of_all_pairs_of_different_rows() -> None:
    lines: list[Line] = []
    model = torch.nn.Linear(6, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pulse([EmbeddingSampler], line=lines.append, every=1):
        z = model(torch.randn(5, 6))
        other = functional.normalize(model(torch.randn(7, 6)), dim=1)
        loss = functional.cross_entropy(z @ other.T / 0.1, torch.arange(5))
        loss.backward()
        optimizer.step()
    unit = functional.normalize(z.detach(), dim=1)
    pairs = [float(unit[i] @ unit[j]) for i in range(5) for j in range(5) if i != j]
    assert lines[0].numbers["embedding"]["1 left"] == pytest.approx(sum(pairs) / 20, abs=1e-6)
    (found,) = lines[0].happened
    assert isinstance(found, ContrastFound)
    assert found.at.file == __file__


def test_classes_are_no_embeddings() -> None:
    lines: list[Line] = []
    model = torch.nn.Linear(6, 6)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with Pulse([EmbeddingSampler], line=lines.append, every=1):
        functional.cross_entropy(model(torch.randn(5, 6)), torch.arange(5)).backward()
        optimizer.step()
    assert lines == []
