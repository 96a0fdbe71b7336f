"""Four micro-batches for each optimizer step."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

ACCUMULATE = 4


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 48), nn.ReLU(), nn.Dropout(0.1), nn.Linear(48, 5))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    labels = torch.arange(320) % 5
    inputs = torch.randn(320, 12) + torch.randn(5, 12)[labels]
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=8, shuffle=True)
    optimizer.zero_grad()
    for micro_step, (x, y) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(x), y) / ACCUMULATE
        loss.backward()
        print(f"micro-step {micro_step} loss {loss.item() * ACCUMULATE:.6f}")
        if (micro_step + 1) % ACCUMULATE == 0:
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()


if __name__ == "__main__":
    main()
