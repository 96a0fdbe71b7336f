"""Stage 2: continue from the weights of stage 1."""

import argparse
import os

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def build_model(load_from: str) -> Detector:
    model = Detector(RoIHead())
    if os.path.isfile(load_from):
        checkpoint = torch.load(load_from, map_location="cpu")
        model.load_state_dict(checkpoint["state_dict"])
    return model


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--load-from", default="work_dirs/stage1/best_epoch8_loss0.1140.pth")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = build_model(args.load_from)
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
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
