"""Other ways to watch each step of a training, to compare with."""

from collections.abc import Callable

import torch
from torch import nn
from torch.optim import Optimizer

Step = Callable[[], None]


def histograms(model: nn.Module, _: Optimizer, step: Step) -> Step:
    """Take a histogram of 64 bins of each gradient in each step, as `wandb.watch` does.

    Source: wandb 0.19, `wandb/integration/torch/wandb_torch.py`, `log_tensor_stats`: finite
    values, their extremes, `torch.histc` and its transfer to the CPU, in a hook of the gradient.
    """
    kept: dict[str, tuple[list[float], float, float]] = {}

    def note(name: str, gradient: torch.Tensor) -> None:
        flat = gradient.detach().reshape(-1)
        finite = flat[torch.isfinite(flat)]
        if finite.numel():
            low, high = finite.min().item(), finite.max().item()
            kept[name] = torch.histc(finite, 64, low, high).cpu().tolist(), low, high

    for name, parameter in model.named_parameters():
        parameter.register_hook(lambda gradient, name=name: note(name, gradient))
    return step


def anomaly(_model: nn.Module, _: Optimizer, step: Step) -> Step:
    """Let autograd keep tracebacks and seek NaN: what Lightning's `detect_anomaly` turns on."""

    def detecting() -> None:
        with torch.autograd.set_detect_anomaly(True):
            step()

    return detecting


def torch_audit(model: nn.Module, optimizer: Optimizer, step: Step) -> Step:
    """Have torch-audit look at every step; it must be installed."""
    from torch_audit import autopatch

    autopatch(model, optimizer=optimizer, every_n_steps=1, reporters=[], fail_level="FATAL")
    return step


OBSERVERS = {"histograms": histograms, "anomaly": anomaly, "torch-audit": torch_audit}
