"""Whether a watched step costs the same after a million steps, and with ten thousand modules.

    python -m bench.course.scale [--steps N] [--modules N]

One process on one thread; processor time of a step, median over blocks, and resident memory.
"""

import argparse
import contextlib
import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import psutil
import torch
from stepscope.catalogue import every_rule
from stepscope.evidence.environment import Ending
from stepscope.recordings.folder import begin
from stepscope.recordings.writer import Recorder
from stepscope.watching.watched import Watched
from torch import nn

BLOCK = 100  # steps
FEW = 30  # steps of the large model


def loop(modules: int) -> Callable[[], None]:
    """Return a training step of so many small modules in a row."""
    model = nn.Sequential(*(nn.Linear(2, 2) for _ in range(modules)))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    x = torch.ones(1, 2)

    def step() -> None:
        optimizer.zero_grad()
        model(x).sum().backward()
        optimizer.step()

    return step


@contextlib.contextmanager
def watched() -> Iterator[tuple[Watched, Path]]:
    """Watch as `stepscope run` does, and record into a folder of its own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        recorder = Recorder(begin(folder, "scale.py").rank(0), clock=time.monotonic, said=print)
        with Watched("scale.py", rules=every_rule(), keeper=recorder) as run:
            yield run, folder
        recorder.close(run.step, Ending.FINISHED.value)
    print(*run.faults)


def block(step: Callable[[], None], steps: int) -> float:
    """Microseconds of processor time a step."""
    began = time.process_time()
    for _ in range(steps):
        step()
    return 1e6 * (time.process_time() - began) / steps


def resident_mib() -> float:
    return psutil.Process().memory_info().rss / 2**20


def many_steps(steps: int) -> None:
    step = loop(1)
    plain = median(block(step, BLOCK) for _ in range(20))
    print(f"without: {plain:.0f} us a step\n| steps | us a step | MiB | recording, MB |")
    print("|---|---|---|---|")
    with watched() as (_, folder):
        done = 0
        for power in itertools.count(3):
            until = min(10**power, steps)
            last: list[float] = []
            while done < until:
                last = [*last[-19:], block(step, BLOCK)]
                done += BLOCK
            size = sum(each.stat().st_size for each in folder.rglob("*") if each.is_file())
            cells = f"| {done:,} | {median(last):.0f} | {resident_mib():.0f} | {size / 1e6:.1f} |"
            print(cells, flush=True)
            if until == steps:
                break


def many_modules(modules: int) -> None:
    step = loop(modules)
    step()
    plain = median(block(step, 1) for _ in range(FEW)) / 1000
    with watched():
        costs = [block(step, 1) / 1000 for _ in range(4 * FEW)]
    later = costs[2 * FEW :]
    print(
        f"\n{modules:,} modules: without {plain:.0f} ms a step; the first three "
        f"{sum(costs[:3]):.0f} ms, the next 17 sampled {median(costs[4:20]):.0f} ms each, "
        f"later median {median(later):.0f} ms, mean {sum(later) / len(later):.0f} ms"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--steps", type=int, default=10**6)
    parser.add_argument("--modules", type=int, default=10**4)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    many_modules(arguments.modules)
    many_steps(arguments.steps)


if __name__ == "__main__":
    main()
