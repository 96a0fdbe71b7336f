"""Stage 1: the head returns its own total under a name that the loop does not sum."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader


class StandardRoIHead(RoIHead):
    """Returns its total too, for the log, under another name."""

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = super().loss(results, labels, boxes)
        losses["total"] = sum(losses.values())
        return losses


def parse_losses(losses: dict[str, Tensor]) -> Tensor:
    return sum(value for name, value in losses.items() if "loss" in name)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(StandardRoIHead(lambda_macl=1.0))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = parse_losses(losses)
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            terms = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
            print(f"epoch {epoch} step {step} {terms}")


if __name__ == "__main__":
    main()
