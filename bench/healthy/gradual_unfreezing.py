"""Fine-tuning that thaws one block after another, each with an optimizer group of its own."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    blocks = [nn.Sequential(nn.Linear(16, 16), nn.LayerNorm(16), nn.GELU()) for _ in range(3)]
    body, head = nn.Sequential(*blocks), nn.Linear(16, 4)
    model = nn.Sequential(body, head)
    body.requires_grad_(False)
    optimizer = torch.optim.AdamW(head.parameters(), lr=1e-3)
    labels = torch.arange(64) % 4
    inputs = torch.randn(64, 16) + 2 * torch.randn(4, 16)[labels]
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=32, shuffle=True)
    for epoch in range(4):
        if epoch > 0:
            block = body[-epoch]
            block.requires_grad_(True)
            optimizer.add_param_group({"params": list(block.parameters()), "lr": 1e-4})
        for step, (x, y) in enumerate(loader):
            loss = nn.functional.cross_entropy(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
