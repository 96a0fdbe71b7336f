"""Train region-text CLIP; a dry step builds the state that the last checkpoint is loaded into."""

import argparse
from pathlib import Path

import torch
from region_clip import RegionCLIP, Scenes, contrastive
from torch.utils.data import DataLoader


def last_checkpoint(output_dir: str) -> Path | None:
    found = sorted(Path(output_dir).glob("checkpoint-*"))
    return found[-1] / "training_state.pt" if found else None


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--output-dir", required=True)
    parser.add_argument("--logit-scale-init-value", type=float, default=4.6052)
    parser.add_argument("--max-steps", type=int, default=60)
    parser.add_argument("--lr", type=float, default=1e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = RegionCLIP(args.logit_scale_init_value)
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr, weight_decay=0.0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    start = 0
    if checkpoint := last_checkpoint(args.output_dir):
        state = torch.load(checkpoint)
        model.load_state_dict(state["model"])
        start = state["step"]
    loader = DataLoader(Scenes(), batch_size=16, shuffle=True, drop_last=True)
    for step, (images, captions, cells) in enumerate(loader, start):
        image, region, text = model(images, captions, cells)
        loss = contrastive(model.logit_scale, image, text)
        loss = loss + contrastive(model.logit_scale, region, text)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.4f} logit_scale {model.logit_scale.item():.4f}")
        if step + 1 == start + args.max_steps:
            break


if __name__ == "__main__":
    main()
