"""Stage 1; the seed is set anew for each epoch, to the same number."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def seed_everything(seed: int) -> None:
    torch.manual_seed(seed)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    seed_everything(args.seed)
    model = Detector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        seed_everything(args.seed)
        model.train()
        for step, batch in enumerate(loader):
            total = sum(model(*batch).values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
