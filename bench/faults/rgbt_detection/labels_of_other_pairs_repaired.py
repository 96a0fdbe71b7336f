"""Stage 1 from two lists, of images and of annotations, shuffled alike."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


class ShuffledPairs(Pairs):
    """A new order for every run."""

    def __init__(self, size: int = 512, seed: int = 0) -> None:
        super().__init__(size, seed)
        order = torch.randperm(size)
        self.images = self.images[order]
        self.labels, self.boxes = self.labels[order], self.boxes[order]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead(norm="gn"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(ShuffledPairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
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
