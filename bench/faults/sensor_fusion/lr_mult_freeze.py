"""Train AQR on a pretrained CMT whose extractors are frozen by learning-rate multipliers."""

import argparse

import torch
from cmt import CMT, Scenes
from torch import nn
from torch.utils.data import DataLoader

CUSTOM_KEYS = {
    "img_backbone": 0.0,
    "pts_backbone": 0.0,
    "pts_voxel_encoder": 0.0,
    "pts_middle_encoder": 0.0,
    "img_neck": 0.0,
    "pts_neck": 0.0,
    "transformer": 0.5,
    "query_embed": 0.5,
    "reference_points": 0.3,
    "task_heads": 0.8,
    "aqr_weight_generator": 1.0,
    "attention_bias_generator": 1.0,
    "attention_bias_generator.bias_scale": 0.5,
}


def param_groups(model: nn.Module, lr: float, custom_keys: dict[str, float]) -> list[dict]:
    """One group for each parameter; the longest key that its name contains decides."""
    keys = sorted(custom_keys, key=len, reverse=True)
    groups = []
    for name, parameter in model.named_parameters():
        mult = next((custom_keys[key] for key in keys if key in name), 1.0)
        groups.append({"params": [parameter], "lr": lr * mult, "name": name})
    return groups


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1.4e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = CMT()
    optimizer = torch.optim.AdamW(param_groups(model, args.lr, CUSTOM_KEYS), weight_decay=0.01)
    loader = DataLoader(Scenes(), batch_size=8, shuffle=True)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            loss = sum(model(*batch).values())
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 35)
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
