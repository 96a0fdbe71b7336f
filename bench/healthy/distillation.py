"""Knowledge distillation: a frozen teacher in eval mode, a student on soft and hard targets."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

TEMPERATURE = 4.0


def network(width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(16, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.1), nn.Linear(width, 4)
    )


def main() -> None:
    torch.manual_seed(0)
    teacher, student = network(128), network(16)
    teacher.eval()
    optimizer = torch.optim.SGD(student.parameters(), lr=0.05, momentum=0.9)
    labels = torch.arange(192) % 4
    inputs = torch.randn(192, 16) + torch.randn(4, 16)[labels]
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=16, shuffle=True)
    for step, (x, y) in enumerate(loader):
        with torch.no_grad():
            soft = F.softmax(teacher(x) / TEMPERATURE, dim=1)
        logits = student(x)
        kd = F.kl_div(F.log_softmax(logits / TEMPERATURE, dim=1), soft, reduction="batchmean")
        loss = 0.5 * F.cross_entropy(logits, y) + 0.5 * TEMPERATURE**2 * kd
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
