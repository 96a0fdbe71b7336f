"""The training loop that the re-identification scripts share."""

import argparse

import torch
from reid import Persons, ReID
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader


def train(model: ReID) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--lr", type=float, default=3.5e-4)
    args = parser.parse_args()
    optimizer = torch.optim.Adam(model.parameters(), lr=args.lr, weight_decay=1e-4)
    loader = DataLoader(Persons(), batch_size=args.batch_size, shuffle=True, drop_last=True)
    model.train()
    for epoch in range(args.epochs):
        for step, (images, labels) in enumerate(loader):
            score = model(images)
            loss = F.cross_entropy(score, labels)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 5.0)
            optimizer.step()
            acc = (score.argmax(1) == labels).float().mean().item()
            print(f"epoch {epoch} step {step} loss {loss.item():.4f} acc {acc:.2f}")
