"""Region-text CLIP with a memory bank that turns on after a warm-up."""

import argparse

import torch
from region_clip import MemoryBank, RegionCLIP, Scenes, contrastive
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--max-steps", type=int, default=16)
    parser.add_argument("--accumulate", type=int, default=8)
    parser.add_argument("--batch-size", type=int, default=4)
    parser.add_argument("--bank-warmup-steps", type=int, default=400)
    parser.add_argument("--lr", type=float, default=1e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = RegionCLIP()
    bank = MemoryBank(size=128, warmup_steps=args.bank_warmup_steps)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Scenes(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for micro_step, batch in enumerate(loader):
        image, region, text = model(*batch)
        losses = {
            "loss_global": contrastive(model.logit_scale, image, text),
            "loss_region": contrastive(model.logit_scale, region, text),
        }
        if bank.enabled():
            losses["loss_bank"] = bank.loss(model.logit_scale, region, text)
        bank.push(text)
        loss = sum(losses.values()) / args.accumulate
        loss.backward()
        if (micro_step + 1) % args.accumulate == 0:
            optimizer.step()
            optimizer.zero_grad()
            step = (micro_step + 1) // args.accumulate
            print(f"step {step} loss {loss.item() * args.accumulate:.4f} {' '.join(losses)}")
            if step == args.max_steps:
                break


if __name__ == "__main__":
    main()
