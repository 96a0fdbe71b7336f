"""Two streams; the infrared one learns twice as fast, which its ReLUs outlive."""

import argparse

import torch
from detector import Pairs
from torch.utils.data import DataLoader
from two_streams import TwoStreams

LR_MULT_INFRARED = 2


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = TwoStreams()
    infrared = list(model.infrared_stream.parameters())
    held = {id(parameter) for parameter in infrared}
    others = [parameter for parameter in model.parameters() if id(parameter) not in held]
    optimizer = torch.optim.AdamW(
        [{"params": others}, {"params": infrared, "lr": LR_MULT_INFRARED * args.lr}], lr=args.lr
    )
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True)
    for epoch in range(args.epochs):
        model.train()
        for step, (images, labels, boxes) in enumerate(loader):
            losses = model(images[:, :3], images[:, 3:], labels, boxes)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
