"""Stage 1 with a gradient scaler; goes on from the last checkpoint, with all that it holds."""

import argparse
from pathlib import Path

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--work-dir", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--lr", type=float, default=3e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = Detector(RoIHead(norm="gn"))
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    scaler = torch.amp.GradScaler("cpu")
    start, last = 0, args.work_dir / "last.pth"
    if last.exists():
        state = torch.load(last)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        scaler.load_state_dict(state["scaler"])
        torch.set_rng_state(state["random"])
        start = state["epoch"]
    loader = DataLoader(Pairs(), batch_size=args.batch_size, shuffle=True)
    for epoch in range(start, start + args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                losses = model(*batch)
                total = sum(losses.values())
            optimizer.zero_grad()
            scaler.scale(total).backward()
            scaler.step(optimizer)
            scaler.update()
            print(f"epoch {epoch} step {step} loss {total.item():.4f}")
    args.work_dir.mkdir(parents=True, exist_ok=True)
    saved = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "random": torch.get_rng_state(),
        "epoch": start + args.epochs,
    }
    torch.save(saved, last)


if __name__ == "__main__":
    main()
