"""What a whole run costs under `stepscope run`: step time, memory and start, by ratios.

    python -m bench.course.overhead [--models NAME...] [--sides NAME...] [--starts N] [--blocks N]
    python -m bench.course.overhead --memory --warm-up 6 --blocks 1 --steps 1 --models resnet50_224

Each side is a process of its own that trains the same model; they take blocks of steps in turn, so
that whatever else the machine does meets all of them. Two processes of one program may differ by
some percent for as long as they live, by where their memory came to lie: all are started several
times, and a second plain one shows how far. Times are processor times.

With `--memory` the heap is kept from what it does to the peak: glibc maps each tensor of its own,
and gives it back when it is freed. What is resident is then what lives; times are not worth noting.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import chain
from statistics import mean, median

from bench.course.observers import OBSERVERS
from bench.course.worker import WORKLOADS

PLAIN, CONTROL, WATCHED = "plain", "plain again", "stepscope run"
MODELS = ["resnet50", "vit_s", "detector", "mlp"]
WARM_UP = 40  # steps before the first block: windows, the first sampled steps, allocators
STEPS = {"resnet50": 20, "resnet50_224": 2, "vit_s": 20, "detector": 20, "mlp": 500}  # of a block


@dataclass
class Side:
    """A process that takes steps when it is told to."""

    name: str
    process: subprocess.Popen[str]
    start_s: float = 0.0  # processor seconds until all is imported
    first_s: float = 0.0  # of the first steps, together
    blocks: list[list[float]] = field(default_factory=list)  # seconds of each step
    peak_kib: int = 0

    def steps(self, number: int, clock: str) -> list[float]:
        """Take steps, and return how long each took."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{number}\n")
        self.process.stdin.flush()
        said = self.answer()
        self.peak_kib = said["peak_kib"]
        times: list[float] = said[clock]
        return times

    def answer(self) -> dict:
        """Wait for the next line of JSON."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if line.startswith("{"):
                answer: dict = json.loads(line)
                return answer
        raise RuntimeError(f"{self.name} ended with {self.process.wait()}")

    def close(self) -> None:
        """Let it end."""
        self.process.communicate("\n")


def environment(folder: str, *, maps_tensors: bool) -> dict[str, str]:
    """Keep compiled files, as an installed package has them, and one policy of memory.

    Else glibc raises its threshold for `mmap` with what was freed before, which may differ between
    the sides.
    """
    ours = {
        "PYTHONPYCACHEPREFIX": f"{folder}/compiled",
        "MALLOC_MMAP_THRESHOLD_": str(2**16 if maps_tensors else 2**25),
        "MALLOC_TRIM_THRESHOLD_": str(2**29),
    }
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | ours


def begin(name: str, model: str, arguments: argparse.Namespace, folder: str) -> Side:
    """Start one side, and wait until it is ready."""
    module = ["bench.course.worker", model, "--device", arguments.device]
    module += ["--threads", str(arguments.threads)]
    command = [sys.executable]
    if name == WATCHED:
        command += ["-m", "stepscope", "run", "--folder", folder, "-m", *module]
    else:
        command += ["-m", *module, *(("--with", name) if name in OBSERVERS else ())]
    threads = str(arguments.threads)
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=None if arguments.show else subprocess.DEVNULL,
        text=True,
        env={
            **environment(folder, maps_tensors=arguments.memory),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
        },
    )
    side = Side(name, process)
    side.start_s = side.answer()["imported"]
    return side


def measure(model: str, arguments: argparse.Namespace, folder: str) -> list[Side]:
    """Let all sides train the model, in turn."""
    clock = "wall_s" if arguments.device == "cuda" else "cpu_s"
    sides = [begin(name, model, arguments, folder) for name in arguments.sides]
    for side in sides:
        side.first_s = sum(side.steps(arguments.warm_up, clock))
    steps = arguments.steps or STEPS[model]
    for turn in range(arguments.blocks):
        for side in sides if turn % 2 else reversed(sides):
            side.blocks.append(side.steps(steps, clock))
    for side in sides:
        side.close()
    return sides


def tell(model: str, starts: list[list[Side]]) -> None:
    """Print the table of a model: medians over the starts, and their range."""
    plain = [sides[0] for sides in starts]
    steps = chain.from_iterable(chain.from_iterable(side.blocks for side in plain))
    print(f"\n{model}: a step takes {1000 * median(steps):.3g} ms")
    print("| side | median step | mean step | first steps | memory | start |")
    print("|---|---|---|---|---|---|")
    for sides in list(zip(*starts, strict=True))[1:]:
        pairs = list(zip(sides, plain, strict=True))
        memory = [side.peak_kib / other.peak_kib for side, other in pairs]
        more_mib = median((side.peak_kib - other.peak_kib) / 1024 for side, other in pairs)
        first = median(side.first_s - other.first_s for side, other in pairs)
        start = median(side.start_s - other.start_s for side, other in pairs)
        cells = (
            sides[0].name,
            spread([ratio(side, other, median) for side, other in pairs]),
            spread([ratio(side, other, mean) for side, other in pairs]),
            f"{first:+.2f} s",
            f"{spread(memory)}, {more_mib:+.0f} MiB",
            f"{start:+.2f} s",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def ratio(side: Side, other: Side, middle: Callable[[list[float]], float]) -> float:
    """Return the median over the blocks that were taken beside each other."""
    blocks = zip(side.blocks, other.blocks, strict=True)
    return median(middle(own) / middle(others) for own, others in blocks)


def spread(ratios: list[float]) -> str:
    """Say the median, and the range."""
    return f"{median(ratios):.3f} ({min(ratios):.3f}-{max(ratios):.3f})"


def main() -> None:
    names = (PLAIN, CONTROL, WATCHED, *OBSERVERS)
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--models", nargs="+", default=MODELS, choices=WORKLOADS)
    parser.add_argument("--sides", nargs="+", default=list(names), choices=names)
    parser.add_argument("--starts", type=int, default=3, help="of all sides")
    parser.add_argument("--blocks", type=int, default=8)
    parser.add_argument("--steps", type=int, default=0, help="of a block; 0: by the model")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="steps before the first block")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--memory", action="store_true", help="measure memory alone")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--show", action="store_true", help="what the sides say on stderr")
    arguments = parser.parse_args()
    arguments.sides = [PLAIN, *(each for each in arguments.sides if each != PLAIN)]
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        for name in arguments.sides:  # once, so that all is compiled
            begin(name, arguments.models[0], arguments, folder).close()
        for model in arguments.models:
            tell(model, [measure(model, arguments, folder) for _ in range(arguments.starts)])
    print(
        f"\n{arguments.starts} starts, {arguments.blocks} blocks each, "
        f"{time.perf_counter() - began:.0f} s in all"
    )


if __name__ == "__main__":
    main()
