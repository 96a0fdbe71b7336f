"""A transformer whose learning rate starts at 0 and warms up."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

WARMUP, TOTAL = 4, 16


def factor(step: int) -> float:
    if step < WARMUP:
        return step / WARMUP
    return 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (TOTAL - WARMUP)))


class Tagger(nn.Module):
    """Tells whether a token was seen earlier in the sequence."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(20, 32)
        layer = nn.TransformerEncoderLayer(
            32, 4, 64, dropout=0.1, batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(32, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.encoder(self.embedding(tokens)))


def main() -> None:
    torch.manual_seed(0)
    model = Tagger()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
    tokens = torch.randint(0, 20, (TOTAL * 16, 12))
    seen = torch.stack([(tokens[:, :i] == tokens[:, i : i + 1]).any(1) for i in range(12)], dim=1)
    loader = DataLoader(TensorDataset(tokens, seen.long()), batch_size=16, shuffle=True)
    for step, (x, y) in enumerate(loader):
        loss = nn.functional.cross_entropy(model(x).flatten(0, 1), y.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        scheduler.step()
        print(f"step {step} loss {loss.item():.6f} lr {scheduler.get_last_lr()[0]:.2e}")


if __name__ == "__main__":
    main()
