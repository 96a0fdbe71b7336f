"""Train AQR on a frozen CMT, under a cosine whose floor reaches only what is trained."""

import argparse

import torch
from cmt import CMT, Scenes
from lr_mult_freeze_repaired import CUSTOM_KEYS, FROZEN, param_groups
from stepscope import freeze
from torch.optim.lr_scheduler import CosineAnnealingLR
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--lr", type=float, default=1.4e-4)
    args = parser.parse_args()
    torch.manual_seed(0)
    model = CMT()
    freeze(model, *FROZEN)
    optimizer = torch.optim.AdamW(param_groups(model, args.lr, CUSTOM_KEYS), weight_decay=0.01)
    loader = DataLoader(Scenes(), batch_size=8, shuffle=True)
    steps = args.epochs * len(loader)
    schedule = CosineAnnealingLR(optimizer, T_max=steps, eta_min=1e-6)
    for epoch in range(args.epochs):
        model.train()
        for step, batch in enumerate(loader):
            loss = sum(model(*batch).values())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            print(f"epoch {epoch} step {step} loss {loss.item():.4f}")


if __name__ == "__main__":
    main()
