"""A plain loop with accumulation, of a model whose backbone may have a learning rate of 0."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.backbone = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.5), nn.Linear(8, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        result: Tensor = self.head(self.backbone(inputs))
        return result


def optimizer_of(model: Network, *, rate: float = 0.1) -> torch.optim.Optimizer:
    """Build one with the backbone in a group of its own, of this learning rate."""
    groups = [
        {"params": model.head.parameters()},
        {"params": model.backbone.parameters(), "lr": rate},
    ]
    return torch.optim.SGD(groups, lr=0.1, momentum=0.9)


def steps(model: Network, optimizer: torch.optim.Optimizer, number: int) -> Iterator[float]:
    for step in range(number):
        torch.manual_seed(step)
        optimizer.zero_grad()
        for _half in range(2):
            inputs, labels = torch.randn(8, 4), torch.randint(3, (8,))
            loss = nn.functional.cross_entropy(model(inputs), labels) / 2
            loss.backward()
        optimizer.step()
        yield loss.item()
