"""Stage 1 on one pair per step, of which every other shows nobody."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader


class RoIHeadForPeople(RoIHead):
    """Class 1 is a person; an image of class 0 has no box, and still a class."""

    def __init__(self) -> None:
        super().__init__(return_modality_pair=False)
        del self.macl_head

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        positive = labels == 1
        found = F.l1_loss(results["bbox_pred"][positive], boxes[positive], reduction="sum")
        return {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": found / positive.sum().clamp(min=1) / 4,
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHeadForPeople())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(args.steps * args.batch_size), batch_size=args.batch_size)
    model.train()
    for step, batch in enumerate(loader):
        losses = model(*batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        print(f"step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
