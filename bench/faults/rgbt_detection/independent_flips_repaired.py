"""Stage 1 with a random flip of each pair."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader


class FlippedPairs(Pairs):
    """Mirrors both modalities and the box with a chance of one half."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        image, label, box = super().__getitem__(index)
        if torch.rand(()) < 0.5:
            image = image.flip(-1)
            box = torch.stack([1 - box[2], box[1], 1 - box[0], box[3]])
        return {"visible": image[:3], "infrared": image[3:], "labels": label, "boxes": box}


class TwoStreamDetector(Detector):
    """Takes the modalities as two images."""

    def forward(
        self, visible: Tensor, infrared: Tensor, labels: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        return super().forward(torch.cat([visible, infrared], dim=1), labels, boxes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = TwoStreamDetector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(FlippedPairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            losses = model(**batch)
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
