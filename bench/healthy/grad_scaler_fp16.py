"""Mixed precision: fp16 autocast with a gradient scaler, and clipping after unscaling."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


def main() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.GELU(), nn.LayerNorm(64), nn.Linear(64, 4))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**18, growth_interval=8)
    labels = torch.arange(256) % 4
    inputs = torch.randn(256, 16) + torch.randn(4, 16)[labels]
    loader = DataLoader(TensorDataset(inputs, labels), batch_size=16, shuffle=True)
    for step, (x, y) in enumerate(loader):
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.float16):
            loss = nn.functional.cross_entropy(model(x), y)
        scaler.scale(loss).backward()
        scaler.unscale_(optimizer)
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        scaler.step(optimizer)
        scaler.update()
        print(f"step {step} loss {loss.item():.6f} scale {scaler.get_scale():.0f}")


if __name__ == "__main__":
    main()
