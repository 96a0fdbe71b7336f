"""A detector of 80 classes, saved with the names of the wrapper that averaged its weights."""

import argparse

import torch
from detector import Detector, RoIHead
from torch import nn
from torch.optim.swa_utils import AveragedModel


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("output")
    args = parser.parse_args()
    torch.manual_seed(2)
    model = Detector(RoIHead())
    model.roi_head.fc_cls = nn.Linear(64, 81)
    torch.save({"state_dict": AveragedModel(model).state_dict()}, args.output)


if __name__ == "__main__":
    main()
