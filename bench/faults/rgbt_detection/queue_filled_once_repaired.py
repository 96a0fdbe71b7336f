"""Stage 1 with hard negatives from a queue of the last embeddings, renewed in every step."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader


class DynamicHardNegatives(torch.nn.Module):
    """Keeps the last embeddings, and contrasts each pair with the `k` that are most alike."""

    def __init__(self, dim: int, size: int = 64, k: int = 32, tau: float = 0.2) -> None:
        super().__init__()
        self.k, self.tau = k, tau
        self.register_buffer("queue", F.normalize(torch.randn(size, dim), dim=1))

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        self.queue = torch.cat([keys, self.queue])[: len(self.queue)]

    def forward(self, z_visible: Tensor, z_infrared: Tensor) -> Tensor:
        positive = (z_visible * z_infrared).sum(1, keepdim=True)
        hardest = (z_visible @ self.queue.T).topk(self.k, dim=1).values
        logits = torch.cat([positive, hardest], dim=1) / self.tau
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
        self.enqueue(z_infrared)
        return loss


class QueueRoIHead(RoIHead):
    """Adds the hard negatives with weight 0.5."""

    def __init__(self) -> None:
        super().__init__()
        self.dhn = DynamicHardNegatives(32)

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = super().loss(results, labels, boxes)
        visible, infrared = (
            F.normalize(self.macl_head.proj(part), dim=1) for part in results["pair"]
        )
        losses["loss_dhn"] = 0.5 * self.dhn(visible, infrared)
        return losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=32)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(QueueRoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            terms = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
            print(f"epoch {epoch} step {step} loss {total.item():.4f} {terms}")


if __name__ == "__main__":
    main()
