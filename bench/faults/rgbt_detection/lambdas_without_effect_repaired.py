"""Stage 1 with the loss weights 1.0 (contrastive), 0.5 (hard negatives), 0.1 (domain)."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader


class ContrastiveRoIHead(RoIHead):
    """Adds a margin against the hardest other object, and the distance between the modalities."""

    def __init__(self, lambda1: float, lambda2: float, lambda3: float) -> None:
        super().__init__()
        self.lambda1, self.lambda2, self.lambda3 = lambda1, lambda2, lambda3

    def loss(self, results: dict[str, Tensor], labels: Tensor, boxes: Tensor) -> dict[str, Tensor]:
        visible, infrared = (self.macl_head.proj(part) for part in results["pair"])
        z_visible, z_infrared = F.normalize(visible, dim=1), F.normalize(infrared, dim=1)
        similarity = z_visible @ z_infrared.T
        others = similarity - 2 * torch.eye(len(similarity))
        return {
            "loss_cls": F.cross_entropy(results["cls_score"], labels),
            "loss_bbox": F.l1_loss(results["bbox_pred"], boxes),
            "loss_macl": self.macl_head(*results["pair"]),
            "loss_dhn": (0.2 + others.amax(1) - similarity.diagonal()).relu().mean(),
            "loss_domain": (visible.mean(0) - infrared.mean(0)).square().mean(),
        }

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        weighted = {
            "loss_macl": self.lambda1 * losses["loss_macl"],
            "loss_dhn": self.lambda2 * losses["loss_dhn"],
            "loss_domain": self.lambda3 * losses["loss_domain"],
        }
        self.logged = {name: value.item() for name, value in weighted.items()}
        return sum((losses | weighted).values())


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(ContrastiveRoIHead(lambda1=1.0, lambda2=0.5, lambda3=0.1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            total = model.roi_head.total(model(*batch))
            optimizer.zero_grad()
            total.backward()
            optimizer.step()
            terms = " ".join(f"{k} {v:.4f}" for k, v in model.roi_head.logged.items())
            print(f"epoch {epoch} step {step} loss {total.item():.4f} {terms}")


if __name__ == "__main__":
    main()
