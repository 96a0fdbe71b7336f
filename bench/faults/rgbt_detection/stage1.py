"""Stage 1: train the detector on the first data set and save it."""

import argparse

import torch
from detector import Detector, Pairs, RoIHead
from torch.utils.data import DataLoader


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    args = parser.parse_args()
    torch.manual_seed(1)
    model = Detector(RoIHead())
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.0)
    for batch in DataLoader(Pairs(64, seed=1), batch_size=16, shuffle=True):
        optimizer.zero_grad()
        sum(model(*batch).values()).backward()
        optimizer.step()
    torch.save({"state_dict": model.state_dict(), "epoch": 1}, args.output)


if __name__ == "__main__":
    main()
