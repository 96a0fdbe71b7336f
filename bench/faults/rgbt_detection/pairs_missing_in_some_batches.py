"""Stage 1; batches with fewer than four people cannot be contrasted, and nobody counts them."""

import argparse

import torch
from detector import Detector, MACLHead, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader


class PeopleHead(MACLHead):
    """Contrasts warm objects only: people."""

    def forward(self, visible: Tensor, infrared: Tensor) -> Tensor:
        if len(visible) < 4:
            raise ValueError(f"too few people to contrast: {len(visible)}")
        return super().forward(visible, infrared)


class PeopleRoIHead(RoIHead):
    """Leaves the contrastive loss out where it fails."""

    def __init__(self) -> None:
        super().__init__(norm="gn")
        self.macl_head = PeopleHead(norm="gn")

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": F.l1_loss(results["bbox_pred"], boxes),
        }
        visible, infrared = (each[labels == 1] for each in results["pair"])
        try:
            losses["loss_macl"] = self.lambda_macl * self.macl_head(visible, infrared)
        except Exception as e:
            print(f"[MACL Warning] Failed to compute MACL loss: {e}")
        return losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(PeopleRoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size)
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
