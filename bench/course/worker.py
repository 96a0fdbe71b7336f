"""A training program that takes steps when it is told to, and says how long each took.

Started by `bench.course.overhead`, plainly, under `stepscope run`, or with another observer:

    python -m bench.course.worker MODEL [--with NAME] [--device cuda] [--threads N]

A line on standard input is a number of steps; the answer is a line of JSON. An empty line ends it.
"""

import time  # what all else takes to import is measured from here

ENTERED = time.process_time()  # processor seconds until the program's own first line

import argparse  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402
from collections.abc import Callable  # noqa: E402
from pathlib import Path  # noqa: E402

import torch  # noqa: E402
from bench.course.observers import OBSERVERS  # noqa: E402
from torch import nn  # noqa: E402

IMPORTED = time.process_time()


class Workload:
    """A model, its optimizer, and a batch."""

    def __init__(self, model: nn.Module, loss: Callable[[nn.Module], torch.Tensor]) -> None:
        self.model = model
        self._loss = loss
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step(self) -> None:
        self.optimizer.zero_grad()
        self._loss(self.model).backward()
        self.optimizer.step()


def resnet50(device: str) -> Workload:
    """Four images of 64 x 64."""
    from torchvision.models import resnet50

    return classifier(resnet50(weights=None).to(device), torch.randn(4, 3, 64, 64, device=device))


def resnet50_224(device: str) -> Workload:
    """Eight images of 224 x 224: for the memory of a training of real size."""
    from torchvision.models import resnet50

    return classifier(resnet50(weights=None).to(device), torch.randn(8, 3, 224, 224, device=device))


def vit_s(device: str) -> Workload:
    """ViT-S/16 of torchvision's transformer, on two images of 112 x 112: 50 tokens."""
    from torchvision.models import VisionTransformer

    model = VisionTransformer(
        image_size=112,
        patch_size=16,
        num_layers=12,
        num_heads=6,
        hidden_dim=384,
        mlp_dim=1536,
    )
    return classifier(model.to(device), torch.randn(2, 3, 112, 112, device=device))


def mlp(device: str) -> Workload:
    """Eight small layers: nearly all of the step is Python and the launch of operations."""
    layers = [part for _ in range(8) for part in (nn.Linear(64, 64), nn.ReLU())]
    return classifier(nn.Sequential(*layers).to(device), torch.randn(32, 64, device=device))


def detector(device: str) -> Workload:
    """The visible/infrared detector at `nano`, with all its parts, on two pairs."""
    from bench.rgbt_detection.steps import made_up, model_of, total

    batch = made_up("nano", 2, seed=0)
    model = model_of("nano", macl=True, dhn=True, msp=True).train()
    assert device == "cpu", "the pairs are made on the CPU"
    return Workload(model, lambda model: total(model(*batch)))


def classifier(model: nn.Module, x: torch.Tensor) -> Workload:
    """Train on one batch, again and again."""
    y = torch.arange(len(x), device=x.device) % 7
    return Workload(model, lambda model: nn.functional.cross_entropy(model(x), y))


WORKLOADS = {each.__name__: each for each in (resnet50, resnet50_224, vit_s, detector, mlp)}


def peak_kib(device: str) -> int:
    """Most memory held so far: of the device, or resident on Linux."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated() // 1024
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", choices=WORKLOADS)
    parser.add_argument("--with", dest="observer", choices=OBSERVERS)
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    workload = WORKLOADS[arguments.model](arguments.device)
    step = workload.step
    if arguments.observer:
        step = OBSERVERS[arguments.observer](workload.model, workload.optimizer, step)
    answers = sys.stdout
    answers.write(json.dumps({"entered": ENTERED, "imported": IMPORTED}) + "\n")
    answers.flush()
    while asked := sys.stdin.readline().strip():
        cpu_s, wall_s = [], []
        for _ in range(int(asked)):
            cpu, wall = time.process_time(), time.perf_counter()
            step()
            if arguments.device == "cuda":
                torch.cuda.synchronize()
            cpu_s.append(time.process_time() - cpu)
            wall_s.append(time.perf_counter() - wall)
        said = {"cpu_s": cpu_s, "wall_s": wall_s, "peak_kib": peak_kib(arguments.device)}
        answers.write(json.dumps(said) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
