"""A small model with everything that a freeze has to hold."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn


class DropPath(nn.Module):
    """Reads `self.training`, as drop-path does."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rand(len(x), 1).round() if self.training else x


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), DropPath(), nn.ReLU()
        )
        self.neck = nn.Sequential(nn.Linear(8, 8), nn.BatchNorm1d(8))
        self.head = nn.Linear(8, 2)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.neck(self.backbone(x)))
        return y


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    return Network()


Train = Callable[[nn.Module, torch.optim.Optimizer, int], None]


@pytest.fixture
def train() -> Train:
    """Take optimizer steps, each begun with `model.train()`."""

    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, number: int = 3) -> None:
        for _ in range(number):
            model.train()
            optimizer.zero_grad()
            loss = model(torch.randn(6, 4) + 3).square().mean()
            loss.backward()
            optimizer.step()

    return steps
