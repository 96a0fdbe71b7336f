"""Mixed precision: bf16 autocast around the forward, parameters in fp32."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(1024, 4)
    )
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    labels = torch.arange(128) % 4
    images = torch.randn(128, 3, 16, 16) + torch.randn(4, 3, 16, 16)[labels]
    loader = DataLoader(TensorDataset(images, labels), batch_size=16, shuffle=True)
    for step, (inputs, targets) in enumerate(loader):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
