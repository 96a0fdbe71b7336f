"""Everything lives in functions: the model, the optimizer, the loop; the loss is returned."""

import torch
from torch import Tensor, nn


def build(width: int) -> tuple[nn.Module, torch.optim.Optimizer]:
    class Net(nn.Module):
        """Made anew by each call."""

        def __init__(self) -> None:
            super().__init__()
            self.recurrent = nn.GRU(4, width, batch_first=True)
            self.head = nn.Linear(width, 1)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.recurrent(x)[0][:, -1])

    model = Net()
    return model, torch.optim.Adam(model.parameters(), lr=1e-2)


def one_step(model: nn.Module, optimizer: torch.optim.Optimizer, x: Tensor, y: Tensor) -> float:
    optimizer.zero_grad()
    loss = nn.functional.smooth_l1_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


def run(width: int) -> list[float]:
    model, optimizer = build(width)
    x = torch.randn(64, 10, 4)
    y = x.mean((1, 2)).unsqueeze(-1)
    return [one_step(model, optimizer, x, y) for _ in range(6)]


if __name__ == "__main__":
    torch.manual_seed(0)
    for width in (8, 16):
        for step, loss in enumerate(run(width)):
            print(f"width {width} step {step} loss {loss:.6f}")
