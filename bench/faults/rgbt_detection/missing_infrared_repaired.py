"""Stage 1 on a folder of pairs: `visible/` and `infrared/`, the same names in both."""

import argparse
from pathlib import Path

import torch
from detector import Detector, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader, Dataset


class PairFolder(Dataset):
    """Reads both modalities of each pair, with its label and box."""

    def __init__(self, root: Path, infrared: str) -> None:
        self.visible = sorted((root / "visible").glob("*.pt"))
        self.infrared = root / infrared
        self.labels, self.boxes = torch.load(root / "annotations.pt")

    def __len__(self) -> int:
        return len(self.visible)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {
            "visible": torch.load(self.visible[index]),
            "infrared": torch.load(self.infrared / self.visible[index].name),
            "labels": self.labels[index],
            "boxes": self.boxes[index],
        }


class TwoStreamDetector(Detector):
    """Detects on both modalities."""

    def forward(
        self, visible: Tensor, infrared: Tensor, labels: Tensor, boxes: Tensor
    ) -> dict[str, Tensor]:
        first = self.neck(self.backbone(visible))
        second = self.neck(self.backbone(infrared))
        return self.roi_head.loss(self.roi_head(first, second), labels, boxes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("--infrared", default="infrared")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = TwoStreamDetector(RoIHead(return_modality_pair=False))
    del model.roi_head.macl_head
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    pairs = PairFolder(args.root, args.infrared)
    loader = DataLoader(pairs, batch_size=args.batch_size, shuffle=True, drop_last=True)
    model.train()
    for step, batch in enumerate(loader):
        losses = model(**batch)
        total = sum(losses.values())
        optimizer.zero_grad()
        total.backward()
        optimizer.step()
        print(f"step {step} loss {total.item():.4f}")


if __name__ == "__main__":
    main()
