"""A sparse mixture of experts: some experts get no token in a step, and so no gradient."""

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset


class MoE(nn.Module):
    """Sends each row to its best expert, and weighs the answer by the gate."""

    def __init__(self, dim: int = 16, experts: int = 8) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, experts, bias=False)
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(dim, 32), nn.GELU(), nn.Linear(32, dim)) for _ in range(experts)
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        probabilities = self.gate(x).softmax(-1)
        weight, chosen = probabilities.max(-1)
        output = torch.zeros_like(x)
        for index, expert in enumerate(self.experts):
            rows = (chosen == index).nonzero().squeeze(-1)
            if len(rows):
                output = output.index_add(0, rows, weight[rows, None] * expert(x[rows]))
        share = torch.zeros(len(self.experts)).index_add(0, chosen, torch.ones(len(x))) / len(x)
        return x + output, len(self.experts) * (share * probabilities.mean(0)).sum()


class Classifier(nn.Module):
    """Embeds, mixes, classifies."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(10, 16)
        self.moe = MoE()
        self.head = nn.Linear(16, 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        hidden, balance = self.moe(self.embed(x))
        return self.head(hidden), balance


def main() -> None:
    torch.manual_seed(0)
    model = Classifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    labels = torch.arange(96) % 4
    inputs = torch.randn(96, 10) + 2 * torch.randn(4, 10)[labels]
    for epoch in range(2):
        loader = DataLoader(TensorDataset(inputs, labels), batch_size=6, shuffle=True)
        for step, (x, y) in enumerate(loader):
            logits, balance = model(x)
            loss = nn.functional.cross_entropy(logits, y) + 0.01 * balance
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {loss.item():.6f}")


if __name__ == "__main__":
    main()
