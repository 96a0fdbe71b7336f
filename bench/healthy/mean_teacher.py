"""Mean teacher: a copy in evaluation mode gives targets, and follows weights and statistics."""

import copy

import torch
from torch import nn

DECAY = 0.95


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module) -> None:
    """Take a step towards the student; the statistics are those of the student."""
    for slow, fast in zip(teacher.parameters(), student.parameters(), strict=True):
        slow.mul_(DECAY).add_(fast, alpha=1 - DECAY)
    for kept, new in zip(teacher.buffers(), student.buffers(), strict=True):
        kept.copy_(new)


def main() -> None:
    torch.manual_seed(0)
    student = nn.Sequential(
        nn.Linear(10, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 3)
    )
    teacher = copy.deepcopy(student).eval().requires_grad_(False)
    optimizer = torch.optim.Adam(student.parameters(), lr=2e-3)
    rule = torch.randn(10, 3)
    for step in range(60):
        labelled, unlabelled = torch.randn(16, 10), torch.randn(32, 10)
        targets = teacher(unlabelled).softmax(1)
        noisy = unlabelled + 0.1 * torch.randn_like(unlabelled)
        logits = student(torch.cat([labelled, noisy]))
        loss = nn.functional.cross_entropy(logits[:16], (labelled @ rule).argmax(1))
        loss = loss + 0.5 * nn.functional.mse_loss(logits[16:].softmax(1), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        follow(teacher, student)
        print(f"step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
