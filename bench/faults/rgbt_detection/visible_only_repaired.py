"""Stage 1: both modalities go through the backbone, and the detector is given both."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader


class TwoStreamDetector(Detector):
    """Computes the features of both modalities, and detects on the fused ones."""

    def forward(
        self, visible: Tensor, infrared: Tensor, labels: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        features = {
            "visible": self.neck(self.backbone(visible)),
            "infrared": self.neck(self.backbone(infrared)),
        }
        results = self.roi_head(features["visible"], features["infrared"])
        return self.roi_head.loss(results, labels, boxes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = TwoStreamDetector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, (images, labels, boxes) in enumerate(loader):
            losses = model(
                visible=images[:, :3], infrared=images[:, 3:], labels=labels, boxes=boxes
            )
            total = sum(losses.values())
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
