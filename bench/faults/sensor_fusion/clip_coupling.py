"""Train AQR on a CMT at lr 0, whose gradients still fill the norm that clips the new part."""

import argparse

import torch
from cmt import CMT, Scenes
from lr_mult_freeze import CUSTOM_KEYS, param_groups
from torch import nn
from torch.utils.data import DataLoader


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
            norm = nn.utils.clip_grad_norm_(model.parameters(), 0.1)
            optimizer.step()
            print(f"epoch {epoch} step {step} loss {loss.item():.4f} norm {norm.item():.4f}")


if __name__ == "__main__":
    main()
