"""What MSP, MACL and DHN cost: a step with them by a step without, paired in one process.

python -m bench.rgbt_detection.step_time [--size nano|r50] [--rounds 12]
"""

import argparse
import statistics
import time

import torch
from bench.rgbt_detection.steps import made_up, model_of, optimizer_of, total

VARIANTS = {
    "two streams": {"macl": False, "dhn": False, "msp": False},
    "+ MSP": {"macl": False, "dhn": False, "msp": True},
    "+ MSP + MACL": {"macl": True, "dhn": False, "msp": True},
    "full": {"macl": True, "dhn": True, "msp": True},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=("nano", "r50"), default="nano")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    options = parser.parse_args()
    torch.set_num_threads(1)
    models = {name: model_of(options.size, **parts).train() for name, parts in VARIANTS.items()}
    optimizers = {name: optimizer_of(model) for name, model in models.items()}
    ratios: dict[str, list[float]] = {name: [] for name in VARIANTS}
    order = list(VARIANTS)
    for turn in range(options.rounds + 1):
        order = order[1:] + order[:1]
        seconds = {}
        for name in order:
            batch = made_up(options.size, options.batch, seed=turn)
            # Which anchors and RoIs are sampled costs time: the same ones for all.
            torch.manual_seed(turn)
            # Processor time: another process on the machine is not ours to measure.
            begun = time.process_time()
            optimizers[name].zero_grad()
            total(models[name](*batch)).backward()
            optimizers[name].step()
            seconds[name] = time.process_time() - begun
        if turn:  # the first one allocates
            for name in VARIANTS:
                ratios[name].append(seconds[name] / seconds["two streams"])
    print(f"{options.size}, batch {options.batch}, {options.rounds} rounds, one thread")
    print("| variant | step / two streams, median | quartiles |\n|---|---|---|")
    for name, found in ratios.items():
        low, middle, high = statistics.quantiles(found, n=4)
        print(f"| {name} | {middle:.3f} | {low:.3f}-{high:.3f} |")


if __name__ == "__main__":
    main()
