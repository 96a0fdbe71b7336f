"""Stage 1 with boxes regressed by the logarithm of their size."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader, Subset


class LogSizeRoIHead(RoIHead):
    """Centre and logarithm of width and height, as box coders have them."""

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        sizes = boxes[:, 2:] - boxes[:, :2]
        centres = (boxes[:, 2:] + boxes[:, :2]) / 2
        wanted = torch.cat([centres, sizes.log()], dim=1)
        found = torch.cat([results["bbox_pred"][:, :2], results["bbox_pred"][:, 2:].log()], dim=1)
        return {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": F.smooth_l1_loss(found, wanted),
            "loss_macl": self.lambda_macl * self.macl_head(*results["pair"]),
        }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(LogSizeRoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    pairs = Pairs()
    pairs.boxes[::40, 3] = pairs.boxes[::40, 1] - 1 / 32  # cut off below the image: upside down
    whole = (pairs.boxes[:, 2:] > pairs.boxes[:, :2]).all(1).nonzero().flatten().tolist()
    loader = DataLoader(
        Subset(pairs, whole), batch_size=args.batch_size, shuffle=True, drop_last=True
    )
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
