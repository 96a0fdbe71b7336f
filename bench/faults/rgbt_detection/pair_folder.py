"""Writes synthetic pairs into a folder: `visible/`, `infrared/`, `annotations.pt`."""

import argparse
from pathlib import Path

import torch
from detector import Pairs


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    args = parser.parse_args()
    pairs = Pairs(32)
    for modality, channels in (("visible", slice(0, 3)), ("infrared", slice(3, 6))):
        (args.root / modality).mkdir(parents=True)
        for index, image in enumerate(pairs.images):
            torch.save(image[channels].clone(), args.root / modality / f"{index:06d}.pt")
    torch.save((pairs.labels, pairs.boxes), args.root / "annotations.pt")


if __name__ == "__main__":
    main()
