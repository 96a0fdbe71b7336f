"""Stage 1 with one projector per feature level, made when a level is first seen."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor, nn
from torch.utils.data import DataLoader


class PyramidDetector(Detector):
    """Two levels, each projected to the width of the neck before they are added."""

    def __init__(self, roi_head: RoIHead) -> None:
        super().__init__(roi_head)
        self.projectors: dict[str, nn.Module] = {}

    def project(self, level: str, features: Tensor) -> Tensor:
        if level not in self.projectors:
            self.projectors[level] = nn.Conv2d(features.shape[1], 64, 1)
        return self.projectors[level](features)

    def forward(self, images: Tensor, labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        body = self.backbone
        low = body.layer2(body.layer1(body.stem(torch.cat([images[:, :3], images[:, 3:]]))))
        high = body.layer3(low)
        features = self.neck(self.project("low", low) + self.project("high", high))
        results = self.roi_head(*features.chunk(2))
        return self.roi_head.loss(results, labels, boxes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = PyramidDetector(RoIHead())
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
