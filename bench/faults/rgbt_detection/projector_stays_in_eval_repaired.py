"""Stage 1; a batch of one pair has no contrastive loss."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader


class GuardedRoIHead(RoIHead):
    """BatchNorm refuses one row in training mode."""

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        if len(labels) == 1:
            del results["pair"]  # one pair has nothing to be contrasted with
        return super().loss(results, labels, boxes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(GuardedRoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(65), batch_size=args.batch_size, shuffle=True)
    model.train()
    for epoch in range(args.epochs):
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
