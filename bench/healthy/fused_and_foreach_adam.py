"""Two networks, one under fused and one under foreach AdamW."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Linear(32, 3))
    large = nn.Sequential(nn.Linear(8, 64), nn.ReLU(), nn.Linear(64, 3))
    fused = torch.optim.AdamW(small.parameters(), lr=1e-2, fused=True)
    foreach = torch.optim.AdamW(large.parameters(), lr=1e-2, foreach=True)
    labels = torch.arange(192) % 3
    inputs = torch.randn(192, 8) + torch.randn(3, 8)[labels]
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=16, shuffle=True)
    for step, (x, y) in enumerate(loader):
        for name, model, optimizer in (("small", small, fused), ("large", large, foreach)):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"step {step} {name} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
