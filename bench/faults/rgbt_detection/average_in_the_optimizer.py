"""Stage 1 with hard negatives; the average of the projector is given to the optimizer as well."""

import argparse
import copy

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


class DynamicHardNegatives(nn.Module):
    """Keeps the last keys, and contrasts each pair with the `k` that are most alike."""

    def __init__(
        self, proj: nn.Module, size: int = 64, k: int = 32, m: float = 0.99, tau: float = 0.2
    ) -> None:
        super().__init__()
        self.k, self.m, self.tau = k, m, tau
        self.key_proj = copy.deepcopy(proj)
        self.register_buffer("queue", F.normalize(torch.randn(size, 32), dim=1))

    @torch.no_grad()
    def update(self, proj: nn.Module) -> None:
        for key, query in zip(self.key_proj.parameters(), proj.parameters(), strict=True):
            key.data = self.m * key.data + (1 - self.m) * query.data

    @torch.no_grad()
    def enqueue(self, keys: Tensor) -> None:
        self.queue = torch.cat([keys, self.queue])[: len(self.queue)]

    def forward(self, z_visible: Tensor, infrared: Tensor) -> Tensor:
        keys = F.normalize(self.key_proj(infrared), dim=1)
        positive = (z_visible * keys).sum(1, keepdim=True)
        hardest = (z_visible @ self.queue.T).topk(self.k, dim=1).values
        logits = torch.cat([positive, hardest], dim=1) / self.tau
        loss = F.cross_entropy(logits, torch.zeros(len(logits), dtype=torch.long))
        self.enqueue(keys)
        return loss


class QueueRoIHead(RoIHead):
    """Adds the hard negatives with weight 0.5."""

    def __init__(self) -> None:
        super().__init__(norm="gn")
        self.dhn = DynamicHardNegatives(self.macl_head.proj)

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = super().loss(results, labels, boxes)
        self.dhn.update(self.macl_head.proj)
        z_visible = F.normalize(self.macl_head.proj(results["pair"][0]), dim=1)
        losses["loss_dhn"] = 0.5 * self.dhn(z_visible, results["pair"][1])
        return losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
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
