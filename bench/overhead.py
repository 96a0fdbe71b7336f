"""What recording costs: time of a step, peak memory, and the steps after the recording.

    python -m bench.overhead [--device cpu|cuda] [--rounds N] [--size PIXELS] [--output FILE]

Step time: one process; three plain steps, three recorded steps, and so on in turn. Memory and the
steps afterwards: fresh processes in turn, one never recorded, one with its first steps recorded.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from torch import nn
from torch.nn import functional as F

STEPS = 3  # recorded in a row, as `stepscope check` does
MODELS = ("resnet50", "transformer")


class Transformer(nn.Module):
    """Twelve encoder layers over sequences of features, with a classifier on each token."""

    def __init__(self, dim: int = 384) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(dim, 6, 4 * dim, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
        self.head = nn.Linear(dim, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Take (B, N, D), give (B, 1000, N)."""
        return self.head(self.encoder(x)).transpose(1, 2)


def workload(name: str, device: str, batch: int, size: int) -> Callable[[], None]:
    """Return one training step of the named model."""
    torch.manual_seed(0)
    if name == "resnet50":
        from torchvision.models import resnet50

        model: nn.Module = resnet50(weights=None).to(device)
        x = torch.randn(batch, 3, size, size, device=device)
        y = torch.randint(1000, (batch,), device=device)
        optimizer: torch.optim.Optimizer = torch.optim.SGD(model.parameters(), 0.01, momentum=0.9)
    else:
        model = Transformer().to(device)
        x = torch.randn(batch, 128, 384, device=device)
        y = torch.randint(1000, (batch, 128), device=device)
        optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        loss = F.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if device == "cuda":
            torch.cuda.synchronize()

    return step


@dataclass(frozen=True, slots=True)
class Duration:
    """Of one step. On a machine with other work, the processor time is the steadier of the two."""

    wall_ms: float
    cpu_ms: float


def timed(step: Callable[[], None]) -> Duration:
    """Take one step."""
    wall, cpu = time.perf_counter(), time.process_time()
    step()
    return Duration(1000 * (time.perf_counter() - wall), 1000 * (time.process_time() - cpu))


def recorded(step: Callable[[], None]) -> tuple[list[Duration], float]:
    """Record `STEPS` steps; return each, and the milliseconds that recording took around them."""
    from stepscope.probes.observation import Observation
    from stepscope.session import every_probe

    probes = every_probe()
    began = time.perf_counter()
    observation = Observation(probes, steps=STEPS)
    with observation:
        steps = [timed(step) for _ in range(STEPS)]
    around = 1000 * (time.perf_counter() - began) - sum(each.wall_ms for each in steps)
    assert observation.run.step == STEPS, observation.run.step
    for fault in observation.run.faults:
        print(fault, file=sys.stderr)
    return steps, around


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Ratios are of recorded to plain steps, of medians; the first of a recording stands alone."""

    model: str
    plain_ms: float
    recorded_ms: float
    ratio: float  # wall time
    ratios: tuple[float, ...]  # of each round
    cpu_ratio: float
    cpu_ratios: tuple[float, ...]
    first_ratio: float  # wall time of the first step of a recording: names are looked up
    first_cpu_ratio: float
    around_ms: float  # before the first and after the last recorded step


def step_times(name: str, step: Callable[[], None], rounds: int) -> Times:
    """Measure plain and recorded steps in turn."""
    recorded(step)  # imports, caches, allocators
    plain: list[list[Duration]] = []
    first: list[Duration] = []
    seen: list[list[Duration]] = []  # the steps that follow the first
    around: list[float] = []
    for _ in range(rounds):
        plain.append([timed(step) for _ in range(STEPS)])
        steps, extra = recorded(step)
        first.append(steps[0])
        seen.append(steps[1:])
        around.append(extra)
    plain_wall, plain_cpu = medians([each for block in plain for each in block])
    seen_wall, seen_cpu = medians([each for block in seen for each in block])
    first_wall, first_cpu = medians(first)
    pairs = [(medians(s), medians(p)) for s, p in zip(seen, plain, strict=True)]
    return Times(
        model=name,
        plain_ms=plain_wall,
        recorded_ms=seen_wall,
        ratio=seen_wall / plain_wall,
        ratios=tuple(s[0] / p[0] for s, p in pairs),
        cpu_ratio=seen_cpu / plain_cpu,
        cpu_ratios=tuple(s[1] / p[1] for s, p in pairs),
        first_ratio=first_wall / plain_wall,
        first_cpu_ratio=first_cpu / plain_cpu,
        around_ms=median(around),
    )


def medians(steps: list[Duration]) -> tuple[float, float]:
    """Median wall and processor milliseconds."""
    return median(each.wall_ms for each in steps), median(each.cpu_ms for each in steps)


def one_process(step: Callable[[], None], device: str, *, record: bool, steps: int) -> dict:
    """Take some steps, perhaps recorded ones, then plain ones; say how long and how much memory."""
    base = held_bytes(device)
    reset_peak(device)
    if record:
        recorded(step)
    else:
        for _ in range(STEPS):
            step()
    peak = peak_bytes(device)
    wall, cpu = medians([timed(step) for _ in range(steps)])
    return {"base": base, "peak": peak, "after_wall_ms": wall, "after_cpu_ms": cpu}


def held_bytes(device: str) -> int:
    """Memory held now: by tensors on the device, or by the process."""
    return torch.cuda.memory_allocated() if device == "cuda" else process_kib("VmRSS") * 1024


def peak_bytes(device: str) -> int:
    """Most memory held since `reset_peak`."""
    return torch.cuda.max_memory_allocated() if device == "cuda" else process_kib("VmHWM") * 1024


def reset_peak(device: str) -> None:
    """Forget what was held before, such as by imports."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets VmHWM


def process_kib(field: str) -> int:
    """Read a line of Linux's account of this process."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Afterwards:
    """Medians over fresh processes."""

    model: str
    plain_mib: float  # peak of a process that is never recorded
    extra_mib: float
    extra_share: float  # of the plain peak
    extra_share_net: float  # of the plain peak less what was held before the first step
    after_ratio: float  # steps after a recording against steps of a process without one
    after_cpu_ratio: float


def afterwards(name: str, arguments: argparse.Namespace) -> Afterwards:
    """Compare fresh processes with and without a recording, in turn."""
    runs: dict[bool, list[dict]] = {False: [], True: []}
    for _ in range(arguments.processes):
        for record in (False, True):
            command = [sys.executable, "-m", "bench.overhead", "--worker", name]
            command += ["--device", arguments.device, "--batch", str(arguments.batch)]
            command += ["--size", str(arguments.size), *(["--record"] if record else [])]
            ended = subprocess.run(
                command, capture_output=True, text=True, check=True, env=os.environ
            )
            runs[record].append(json.loads(ended.stdout.splitlines()[-1]))

    def ratio(key: str) -> float:
        with_recording, without = (median(run[key] for run in runs[r]) for r in (True, False))
        return with_recording / without

    peak = {record: median(run["peak"] for run in each) for record, each in runs.items()}
    base = median(run["base"] for run in runs[False])
    extra = peak[True] - peak[False]
    return Afterwards(
        model=name,
        plain_mib=peak[False] / 2**20,
        extra_mib=extra / 2**20,
        extra_share=extra / peak[False],
        extra_share_net=extra / (peak[False] - base),
        after_ratio=ratio("after_wall_ms"),
        after_cpu_ratio=ratio("after_cpu_ms"),
    )


def spread(ratios: tuple[float, ...]) -> str:
    """Say the range over the rounds."""
    return f"{min(ratios):.2f} to {max(ratios):.2f} in {len(ratios)} rounds"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--models", nargs="+", default=MODELS, choices=MODELS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--processes", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--threads", type=int, default=0, help="0: as torch chooses")
    parser.add_argument("--output", type=Path)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    parser.add_argument("--record", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    if arguments.worker:
        step = workload(arguments.worker, arguments.device, arguments.batch, arguments.size)
        print(json.dumps(one_process(step, arguments.device, record=arguments.record, steps=6)))
        return
    results = []
    for name in arguments.models:
        step = workload(name, arguments.device, arguments.batch, arguments.size)
        times = step_times(name, step, arguments.rounds)
        del step
        later = afterwards(name, arguments)
        results.append({**asdict(times), **asdict(later)})
        print(
            f"{name}: plain {times.plain_ms:.1f} ms, recorded {times.recorded_ms:.1f} ms\n"
            f"    wall {times.ratio:.2f}x ({spread(times.ratios)}), processor "
            f"{times.cpu_ratio:.2f}x ({spread(times.cpu_ratios)}); first step of a recording "
            f"{times.first_ratio:.2f}x (processor {times.first_cpu_ratio:.2f}x), "
            f"{times.around_ms:.0f} ms around the steps\n"
            f"    after the recording: wall {later.after_ratio:.3f}x, processor "
            f"{later.after_cpu_ratio:.3f}x\n"
            f"    peak memory {later.plain_mib:.0f} MiB, recorded {later.extra_mib:+.0f} MiB = "
            f"{later.extra_share:+.1%} of all, {later.extra_share_net:+.1%} of what training added",
            flush=True,
        )
    if arguments.output:
        device = (
            torch.cuda.get_device_name() if arguments.device == "cuda" else platform.processor()
        )
        facts = {"device": device, "torch": torch.__version__, "threads": torch.get_num_threads()}
        settings = {k: v for k, v in vars(arguments).items() if k not in ("output", "worker")}
        arguments.output.write_text(
            json.dumps({**facts, "settings": settings, "results": results}, indent=1, default=str)
        )


if __name__ == "__main__":
    main()
