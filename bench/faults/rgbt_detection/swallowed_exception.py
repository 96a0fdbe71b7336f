"""Stage 1 on one pair per step; a failing contrastive loss must not stop the run."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader


class StandardRoIHead(RoIHead):
    """Adds the contrastive loss where it can be computed."""

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        losses = {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": F.l1_loss(results["bbox_pred"], boxes),
        }
        try:
            losses["loss_macl"] = self.lambda_macl * self.macl_head(*results["pair"])
        except Exception as e:
            print(f"[MACL Warning] Failed to compute MACL loss: {e}")
        return losses


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--steps", type=int, default=16)
    parser.add_argument("--batch-size", type=int, default=1)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(StandardRoIHead())
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
