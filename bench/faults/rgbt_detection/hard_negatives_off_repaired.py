"""Stage 1 with hard negatives: switched on where they are computed."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

ROI_HEAD = {"lambda_dhn": 0.5, "use_dhn": True}


class QueueRoIHead(RoIHead):
    """A margin against the most similar of the last embeddings."""

    def __init__(self, lambda_dhn: float = 0.5, use_dhn: bool = True) -> None:
        super().__init__()
        self.lambda_dhn, self.use_dhn = lambda_dhn, use_dhn
        self.register_buffer("queue", F.normalize(torch.randn(64, 32), dim=1))

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = super().loss(results, labels, boxes)
        if self.use_dhn:
            visible, infrared = (
                F.normalize(self.macl_head.proj(part), dim=1) for part in results["pair"]
            )
            hardest = (visible @ self.queue.T).amax(1)
            margin = (0.2 + hardest - (visible * infrared).sum(1)).relu()
            losses["loss_dhn"] = self.lambda_dhn * margin.mean()
            self.queue = torch.cat([infrared.detach(), self.queue])[: len(self.queue)]
        return losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(QueueRoIHead(**ROI_HEAD))
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
