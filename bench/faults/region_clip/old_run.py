"""The earlier run, with the scale it was configured with; leaves a checkpoint."""

import sys
from pathlib import Path

import torch
from region_clip import RegionCLIP, Scenes, contrastive
from torch.utils.data import DataLoader

if __name__ == "__main__":
    output = Path(sys.argv[1]) / "checkpoint-256"
    output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(1)
    model = RegionCLIP(logit_scale_init_value=2.65625)
    model.logit_scale.requires_grad_(False)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    for images, captions, cells in DataLoader(Scenes(4096), batch_size=16):
        image, region, text = model(images, captions, cells)
        loss = contrastive(model.logit_scale, image, text)
        loss = loss + contrastive(model.logit_scale, region, text)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    print(f"loss {loss.item():.4f}")
    torch.save({"model": model.state_dict(), "step": 256}, output / "training_state.pt")
