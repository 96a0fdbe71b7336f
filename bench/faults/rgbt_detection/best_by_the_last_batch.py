"""Stage 1; the checkpoint with the lowest loss is kept as the best."""

import argparse
import tempfile
from pathlib import Path

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    best, folder = float("inf"), Path(tempfile.mkdtemp())
    for epoch in range(args.epochs):
        model.train()
        history = []
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            history.append(total.item())
            print(f"epoch {epoch} step {step} loss {history[-1]:.4f}")
        if history[-1] < best:
            best = history[-1]
            torch.save(model.state_dict(), folder / f"best_epoch{epoch + 1}_loss{best:.4f}.pth")


if __name__ == "__main__":
    main()
