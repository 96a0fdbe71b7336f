"""Train AQR on a pretrained CMT whose extractors are frozen."""

import argparse
from typing import Self

import torch
from cmt import CMT, Scenes
from torch import nn
from torch.utils.data import DataLoader

FROZEN = ("img_backbone", "img_neck", "pts_middle_encoder", "pts_backbone", "pts_neck")
CUSTOM_KEYS = {
    "transformer": 0.5,
    "reference_points": 0.3,
    "bev_embedding": 0.5,
    "rv_embedding": 0.5,
    "shared_conv": 0.5,
    "task_heads": 0.8,
    "aqr_weight_generator": 1.0,
}


class FrozenCMT(CMT):
    """CMT whose extractors neither learn nor move their statistics."""

    def __init__(self) -> None:
        super().__init__()
        for name in FROZEN:
            self.get_submodule(name).requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        for name in FROZEN:
            self.get_submodule(name).eval()
        return self


def param_groups(model: nn.Module, lr: float, custom_keys: dict[str, float]) -> list[dict]:
    """One group for each trainable parameter; exactly one key must fit, each key somewhere."""
    groups = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (key,) = (key for key in custom_keys if key in name)
            groups.append({"params": [parameter], "lr": lr * custom_keys[key], "name": name})
    for key in custom_keys:
        if not any(key in group["name"] for group in groups):
            raise ValueError(f"custom key {key!r} matches no parameter")
    return groups


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1.4e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = FrozenCMT()
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
