"""Cross-validation: trainings in one process, each from the same seed, with its own schedule."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Subset, TensorDataset

FOLDS = 4


def train(training: Subset, held_out: Subset, lr: float) -> float:
    """Train a new model for one epoch, and return its accuracy on the fold that was left out."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    loader = DataLoader(training, batch_size=20, shuffle=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=len(loader))
    for inputs, targets in loader:
        loss = nn.functional.cross_entropy(model(inputs), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        print(f"lr {schedule.get_last_lr()[0]:.4f} loss {loss.item():.6f}")
    model.eval()
    with torch.no_grad():
        inputs, targets = next(iter(DataLoader(held_out, batch_size=len(held_out))))
        return (model(inputs).argmax(1) == targets).float().mean().item()


def main() -> None:
    torch.manual_seed(1)
    inputs = torch.randn(240, 8)
    data = TensorDataset(inputs, (inputs @ torch.randn(8, 3)).argmax(1))
    folds = torch.arange(len(data)).chunk(FOLDS)
    for lr in (0.1, 0.03):
        for i, held_out in enumerate(folds):
            others = torch.cat([fold for j, fold in enumerate(folds) if j != i])
            accuracy = train(Subset(data, others.tolist()), Subset(data, held_out.tolist()), lr)
            print(f"lr {lr} fold {i} accuracy {accuracy:.4f}")


if __name__ == "__main__":
    main()
