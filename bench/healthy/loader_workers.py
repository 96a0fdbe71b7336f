"""Batches made by two worker processes, with augmentation inside them."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset


class Noisy(Dataset):
    """Normalises each sample by a network of its own, in the worker."""

    def __init__(self) -> None:
        self.labels = torch.arange(128) % 4
        self.inputs = torch.randn(128, 1, 16) + torch.randn(4, 1, 16)[self.labels]
        self.whiten = nn.InstanceNorm1d(1)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        sample = self.whiten(self.inputs[index].unsqueeze(0)).flatten()
        return sample + 0.1 * torch.randn(16), self.labels[index]


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 32), nn.ReLU(), nn.Linear(32, 4))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loader = DataLoader(Noisy(), batch_size=16, shuffle=True, num_workers=2)
    for step, (x, y) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
