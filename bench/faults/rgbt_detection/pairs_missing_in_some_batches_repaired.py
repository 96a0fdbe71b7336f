"""Stage 1; batches with fewer than four people are left out before the call, and counted."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader


class PeopleRoIHead(RoIHead):
    """Contrasts warm objects only: people."""

    def __init__(self) -> None:
        super().__init__(norm="gn")
        self.left_out = 0  # batches

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": F.l1_loss(results["bbox_pred"], boxes),
        }
        visible, infrared = (each[labels == 1] for each in results["pair"])
        if len(visible) < 4:
            self.left_out += 1
        else:
            losses["loss_macl"] = self.lambda_macl * self.macl_head(visible, infrared)
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
    print(f"{model.roi_head.left_out} batches without a contrastive loss")


if __name__ == "__main__":
    main()
