"""Transfer: pretrained weights but for the head, which is new (`strict=False`)."""

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class Net(nn.Module):
    """A body and a head for so many classes."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(4)
        )
        self.head = nn.Linear(256, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).flatten(1))


def train(model: nn.Module, classes: int, steps: int) -> None:
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    labels = torch.arange(steps * 16) % classes
    images = torch.randn(len(labels), 3, 16, 16) + torch.randn(classes, 3, 16, 16)[labels]
    loader = DataLoader(TensorDataset(images, labels), batch_size=16, shuffle=True)
    for step, (inputs, targets) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}")


def main() -> None:
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pretrained.pth"
        torch.save(Net(classes=10).state_dict(), path)
        state = torch.load(path, weights_only=True)
    model = Net(classes=4)
    state = {name: value for name, value in state.items() if not name.startswith("head.")}
    print(model.load_state_dict(state, strict=False))
    train(model, classes=4, steps=8)


if __name__ == "__main__":
    main()
