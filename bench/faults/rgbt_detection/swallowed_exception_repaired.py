"""Stage 1 with a contrastive head that needs no batch statistics, and enough pairs to contrast."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead(norm="gn"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(args.steps * args.batch_size), batch_size=args.batch_size)
    model.train()
    for step, batch in enumerate(loader):
        losses = model(*batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        print(f"step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
