"""A multi-task model that returns a dictionary of losses; weights are applied outside."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

WEIGHTS = {"class": 1.0, "box": 0.5, "depth": 0.1, "smooth": 0.01}


class MultiTask(nn.Module):
    """One trunk, three heads."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(12, 48), nn.GELU(), nn.LayerNorm(48))
        self.classify = nn.Linear(48, 5)
        self.box = nn.Linear(48, 4)
        self.depth = nn.Linear(48, 1)

    def forward(self, x: Tensor, target: Tensor, box: Tensor, depth: Tensor) -> dict[str, Tensor]:
        features = self.trunk(x)
        return {
            "class": F.cross_entropy(self.classify(features), target),
            "box": F.smooth_l1_loss(self.box(features), box),
            "depth": F.mse_loss(self.depth(features), depth),
            "smooth": features.pow(2).mean(),
        }


def main() -> None:
    torch.manual_seed(0)
    model = MultiTask()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    labels = torch.arange(160) % 5
    x = torch.randn(160, 12) + torch.randn(5, 12)[labels]
    data = TensorDataset(x, labels, x[:, :4].sigmoid(), x.mean(1, keepdim=True))
    for step, batch in enumerate(DataLoader(data, batch_size=16, shuffle=True)):
        losses = model(*batch)
        total = sum(WEIGHTS[name] * value for name, value in losses.items())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        terms = " ".join(f"{name} {value.item():.6f}" for name, value in losses.items())
        print(f"step {step} total {total.item():.6f} {terms}")


if __name__ == "__main__":
    main()
