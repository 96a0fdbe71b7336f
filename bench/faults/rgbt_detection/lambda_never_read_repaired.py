"""Stage 1 with `--lambda-macl` on the command line, handed to the head."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lambda-macl", type=float, default=0.5)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    print(args)
    torch.manual_seed(0)
    model = Detector(RoIHead(lambda_macl=args.lambda_macl, norm="gn"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for step, batch in enumerate(loader):
        losses = model(*batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        terms = " ".join(f"{name} {value.item():.4f}" for name, value in losses.items())
        print(f"step {step} loss {total.item():.4f} {terms}")


if __name__ == "__main__":
    main()
