"""Fine-tune region-text CLIP with its parameters in bf16."""

import argparse

import torch
from region_clip import RegionCLIP, Scenes, contrastive
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=1e-3)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = RegionCLIP(logit_scale_init_value=2.6592).to(torch.bfloat16)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    loader = DataLoader(Scenes(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    for step, (images, captions, cells) in enumerate(loader):
        image, region, text = model(images.to(torch.bfloat16), captions, cells)
        losses = {
            "loss_global": contrastive(model.logit_scale, image.float(), text.float()),
            "loss_region": contrastive(model.logit_scale, region.float(), text.float()),
        }
        loss = sum(losses.values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f} logit_scale {model.logit_scale.item():.4f}")


if __name__ == "__main__":
    main()
