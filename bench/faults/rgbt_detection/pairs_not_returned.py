"""Stage 1 with the contrastive loss configured (lambda 0.5)."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader

ROI_HEAD = {"lambda_macl": 0.5, "return_modality_pair": False}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead(**ROI_HEAD))
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
