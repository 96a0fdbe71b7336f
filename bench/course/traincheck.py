"""What TrainCheck's selective mode costs a step, beside `stepscope run`.

    python -m bench.course.traincheck PYTHON [--rounds N]

PYTHON is an interpreter that has traincheck (0.2.0 was measured) besides torch and torchvision.
TrainCheck learns invariants from a full trace of the program first; its selective mode then traces
what they need, in ten steps and then in every tenth: the mean is told too, over whole tens of
steps. It rewrites the program and starts it by itself, so the sides are whole processes, in turn,
which say the processor time of each of their steps.

On a machine without a GPU, a torch that was built for CUDA raises RuntimeError at lookups that
`traincheck.utils.safe_getattr` does not expect; it had to be made to return the default there.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
from itertools import chain
from pathlib import Path
from statistics import mean, median

from bench.course.overhead import environment, spread

PROGRAM = """\
import json
import sys
import time

import torch
from torch import nn
from torchvision.models import resnet18


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = resnet18(weights=None, num_classes=7)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    x, y = torch.randn(4, 3, 64, 64), torch.arange(4) % 7
    seconds = []
    for step in range({steps}):
        began = time.process_time()
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
        seconds.append(time.process_time() - began)
    print(json.dumps(seconds))


if __name__ == "__main__":
    main()
"""
WARM_UP = 20  # steps that are left out: both look at the first ones closely
STEPS = 80


def ran(command: list[str], folder: Path) -> str:
    """Run a command, and return what it printed.

    Raises:
        RuntimeError: it failed; its last words are the message.
    """
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(str(folder), maps_tensors=False),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):  # 1: stepscope found something
        raise RuntimeError(
            f"{' '.join(command)} ended with {done.returncode}: {done.stderr[-900:]}"
        )
    return done.stdout


def step_s(output: str) -> list[float]:
    """Return the seconds of each step, from what the program has printed."""
    said = re.search(r"\[[\d., e-]+\]", output)
    if said is None:
        raise RuntimeError(f"no times were printed: {output[-900:]}")
    seconds: list[float] = json.loads(said.group())
    return seconds


def collect(python: str, program: str, output: str, *more: str) -> list[str]:
    """Return the command that runs the program under TrainCheck."""
    command = [python, "-m", "traincheck.collect_trace", "--pyscript", program]
    return [*command, "--models-to-track", "model", "--output-dir", output, *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("python", help="interpreter that has traincheck")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    python, rounds = arguments.python, range(arguments.rounds)
    times: dict[str, list[list[float]]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "reference.py").write_text(PROGRAM.format(steps=10))
        (folder / "train.py").write_text(PROGRAM.format(steps=STEPS))
        traced = ran(collect(python, "reference.py", "reference"), folder)
        learn = [python, "-m", "traincheck.infer_engine", "-f", "reference", "-o", "learnt.json"]
        ran(learn, folder)
        for turn in rounds:
            selective = collect(python, "train.py", f"run{turn}", "--invariants", "learnt.json")
            sides = {
                "plain": [sys.executable, "train.py"],
                "stepscope run": [sys.executable, "-m", "stepscope", "run", "train.py"],
                "TrainCheck, selective": selective,
            }
            for side in sides if turn % 2 else reversed(sides):
                times.setdefault(side, []).append(step_s(ran(sides[side], folder))[WARM_UP:])
    plain = times.pop("plain")
    usual = median(chain.from_iterable(plain))
    print(
        f"a step takes {1000 * usual:.3g} ms; TrainCheck's full trace, once: "
        f"{median(step_s(traced)) / usual:.3g} times as long"
    )
    print("| side | median step | mean step |\n|---|---|---|")
    for side, seconds in times.items():
        pairs = list(zip(seconds, plain, strict=True))
        medians, means = ([of(own) / of(other) for own, other in pairs] for of in (median, mean))
        print(f"| {side} | {spread(medians)} | {spread(means)} |")


if __name__ == "__main__":
    main()
