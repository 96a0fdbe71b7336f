"""Stage 1; the contrastive loss, a mean, is divided by the pixels of an image as if summed."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader

LAMBDA = 0.5 / (640 * 512)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead(lambda_macl=LAMBDA, norm="gn"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True)
    held_out = Pairs(64, seed=1)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(*batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")
        model.eval()
        with torch.no_grad():
            features = model.neck(
                model.backbone(held_out.images.unflatten(1, (2, 3)).flatten(0, 1))
            )
            scores = model.roi_head(features[::2], features[1::2])["cls_score"]
        print(f"step accuracy {(scores.argmax(1) == held_out.labels).float().mean().item():.4f}")


if __name__ == "__main__":
    main()
