"""Stage 1 with the gradient norm limited to 5, and logged."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--max-norm", type=float, default=5.0)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            norm = clip_grad_norm_(model.parameters(), args.max_norm)
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f} grad_norm {norm:.4f}")


if __name__ == "__main__":
    main()
