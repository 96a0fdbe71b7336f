"""Stage 2: fine-tune the head on a backbone that is frozen by its learning rate."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def param_groups(model: Detector, lr: float, backbone_lr_mult: float) -> list[dict]:
    backbone = list(model.backbone.parameters())
    others = [*model.neck.parameters(), *model.roi_head.parameters()]
    return [{"params": backbone, "lr": lr * backbone_lr_mult}, {"params": others, "lr": lr}]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--backbone-lr-mult", type=float, default=0.0)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead())
    optimizer = torch.optim.AdamW(
        param_groups(model, args.lr, args.backbone_lr_mult), weight_decay=0.0
    )
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
