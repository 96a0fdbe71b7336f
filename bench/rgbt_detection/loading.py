"""How much of a step at `nano` goes into decoding, augmenting and collating its batch.

python -m bench.rgbt_detection.loading FOLDER
"""

import statistics
import sys
import time
from pathlib import Path

import torch
from bench.rgbt_detection.steps import model_of, optimizer_of, total
from stepscope_systems.rgbt_detection.config import nano
from stepscope_systems.rgbt_detection.data.dataset import PairedDataset
from stepscope_systems.rgbt_detection.data.stages import lists_of
from stepscope_systems.rgbt_detection.data.transforms import PairedAugmentation
from stepscope_systems.rgbt_detection.module import images_of, targets_of

STEPS, BATCH = 20, 8


def main() -> None:
    torch.set_num_threads(1)
    config = nano()
    pairs = lists_of(config.data, "stage1", Path(sys.argv[1])).train
    plain = PairedDataset(pairs)
    augmentation = PairedAugmentation(config.data)
    model = model_of("nano", macl=True, dhn=True, msp=True).train()
    optimizer = optimizer_of(model)
    decoding, augmenting, stepping = [], [], []
    for step in range(STEPS + 1):
        begun = time.process_time()
        samples = [plain[index] for index in range(step * BATCH, (step + 1) * BATCH)]
        decoded = time.process_time()
        batch = [augmentation(sample) for sample in samples]
        augmented = time.process_time()
        optimizer.zero_grad()
        total(model(*images_of(batch), targets_of(batch))).backward()
        optimizer.step()
        if step:
            decoding.append(decoded - begun)
            augmenting.append(augmented - decoded)
            stepping.append(time.process_time() - augmented)
    shares = [(d + a) / (d + a + s) for d, a, s in zip(decoding, augmenting, stepping, strict=True)]
    for name, seconds in (("decode", decoding), ("augment", augmenting), ("step", stepping)):
        print(f"{name}: {1000 * statistics.median(seconds) / BATCH:.2f} ms a pair")
    low, middle, high = statistics.quantiles(shares, n=4)
    print(f"loader share without workers: {middle:.1%} ({low:.1%}-{high:.1%})")


if __name__ == "__main__":
    main()
