"""Stage 2 as a plain loop, which `stepscope freeze --measure` freezes in one way or another.

stepscope freeze --measure bench/rgbt_detection/stage2_steps.py --frozen body -- --steps 8
"""

import argparse

import torch
from bench.rgbt_detection.steps import made_up, model_of, optimizer_of, total

parser = argparse.ArgumentParser()
parser.add_argument("--size", default="nano", choices=("nano", "r50"))
parser.add_argument("--steps", type=int, default=8)
parser.add_argument("--batch", type=int, default=8)
options = parser.parse_args()

torch.set_num_threads(1)
model = model_of(options.size, macl=True, dhn=True, msp=True).train()
optimizer = optimizer_of(model)
for step in range(options.steps):
    visible, infrared, targets = made_up(options.size, options.batch, seed=step)
    optimizer.zero_grad()
    total(model(visible, infrared, targets)).backward()
    optimizer.step()
