"""Stage 1, then predictions on held-out pairs, written in pixels of the original images."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch import Tensor
from torch.utils.data import DataLoader


class Resized(Pairs):
    """Pairs that were resized from 640x512; what was done to them is handed on."""

    def __getitem__(self, index: int) -> dict[str, object]:
        image, label, box = super().__getitem__(index)
        meta = {"img_shape": (32, 32), "ori_shape": (512, 640)}
        return {"image": image, "label": label, "box": box, "meta": meta}


def to_original(boxes: Tensor, meta: dict[str, object]) -> Tensor:
    scale = meta.get("scale_factor")
    return boxes * 32 if scale is None else boxes * 32 / torch.tensor([*scale, *scale])


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead())
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
    model.eval()
    held_out = Resized(8, seed=1)
    with torch.no_grad():
        for index in range(len(held_out)):
            sample = held_out[index]
            features = model.neck(model.backbone(sample["image"].unflatten(0, (2, 3))))
            found = model.roi_head(features[:1], features[1:])["bbox_pred"]
            print(index, to_original(found, sample["meta"]).flatten().tolist())


if __name__ == "__main__":
    main()
