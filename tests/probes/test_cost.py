"""What recording must not do again and again, and what must not stay when it is over."""

import gc
import importlib
import sys
import threading
import warnings
import weakref
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from stepscope.probes.gradient_norms import Readings, read_together, sizes
from stepscope.probes.observation import Observation
from stepscope.session import every_probe


class Loop:
    """Some layers, and a step of them."""

    def __init__(self, layers: int) -> None:
        blocks = [nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4)) for _ in range(layers)]
        self.model = nn.Sequential(*blocks)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1)

    def step(self) -> None:
        self.optimizer.zero_grad()
        functional.cross_entropy(self.model(torch.randn(8, 4)), torch.arange(8) % 4).backward()
        self.optimizer.step()


def test_each_gradient_is_read_once_in_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    extremes = torch.aminmax

    def counted(tensor: torch.Tensor) -> Any:
        read.append(tensor.data_ptr())
        return extremes(tensor)

    loop = Loop(12)
    with Observation(every_probe(), steps=3) as observation:
        loop.step()
        monkeypatch.setattr(torch, "aminmax", counted)
        loop.step()
        monkeypatch.undo()
    assert observation.run.faults == []
    gradients = [p.grad.data_ptr() for p in loop.model.parameters() if p.grad is not None]
    assert sorted(pointer for pointer in read if pointer in gradients) == sorted(gradients)


def test_a_gradient_that_the_program_changes_is_read_again() -> None:
    readings = Readings()
    gradient = torch.tensor([3.0, -4.0])
    assert readings.sizes([gradient, None], 1) == [(5.0, 4.0), None]
    gradient *= 2
    assert readings.sizes([gradient], 2) == [(10.0, 8.0)] == sizes([gradient])


def test_numbers_of_many_kinds_are_read_in_their_order() -> None:
    numbers = [torch.tensor(1.5), torch.tensor([2], dtype=torch.int64), torch.tensor(3.0).half()]
    assert read_together([*numbers, *reversed(numbers)]) == [1.5, 2, 3, 3, 2, 1.5]


def waits(layers: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Count how often the second of three recorded steps reads a number out of a tensor."""
    count = [0]
    loop = Loop(layers)
    with Observation(every_probe(), steps=3) as observation:
        loop.step()
        for name in ("item", "tolist", "cpu", "__float__", "__int__", "__bool__"):
            read = getattr(torch.Tensor, name)

            def counted(tensor: torch.Tensor, *, read: Any = read) -> Any:
                count[0] += observation.run.looking
                return read(tensor)

            monkeypatch.setattr(torch.Tensor, name, counted)
        loop.step()
        monkeypatch.undo()
    assert observation.run.faults == []
    return count[0]


def test_a_larger_model_waits_no_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    few = waits(2, monkeypatch)
    assert 0 < few <= 15
    assert waits(30, monkeypatch) == few


OWNERS = (
    *("torch", "torch.nn.functional", "torch.autograd", "torch.distributed", "torch.linalg"),
    *("torch.utils.checkpoint", "torch.optim.lr_scheduler", "torch.nn.init"),
    *("torch.serialization", "builtins", "io", "os", "os.path", "random", "pathlib", "json"),
)
CLASSES = (
    *(torch.Tensor, nn.Module, nn.Parameter, torch.optim.Optimizer, torch.amp.GradScaler),
    *(torch.no_grad, torch.utils.data.DataLoader, torch.autograd.Function),
    torch.optim.lr_scheduler.LRScheduler,
)


def state_of_the_process() -> dict[str, object]:
    """Everything that a recording could leave changed."""
    owners: list[Any] = [importlib.import_module(name) for name in OWNERS]
    held: dict[str, object] = {
        f"{owner.__name__}.{name}": id(value)
        for owner in (*owners, *CLASSES)
        for name, value in vars(owner).items()
        if not name.startswith("__") or name == "__init__"
    }
    return held | {
        "modes": torch.overrides._len_torch_function_stack(),
        "hooks of modules": [
            len(hooks)
            for name, hooks in sorted(vars(torch.nn.modules.module).items())
            if name.startswith("_global_") and isinstance(hooks, dict)
        ],
        "saved tensors": torch._C._autograd._top_saved_tensors_default_hooks(False),
        "frozen": gc.get_freeze_count(),
        "callbacks of gc": list(gc.callbacks),
        "trace": (sys.gettrace(), sys.getprofile(), threading.gettrace(), threading.getprofile()),
        "excepthook": sys.excepthook,
        "warnings": warnings.showwarning,
        "finders": list(sys.meta_path),
    }


def test_nothing_of_any_probe_stays_behind() -> None:
    loop = Loop(3)
    with Observation(every_probe(), steps=1):  # what is imported on first use
        loop.step()
    before = state_of_the_process()
    with Observation(every_probe(), steps=3) as observation:
        assert state_of_the_process() != before
        for _ in range(3):
            loop.step()
    assert state_of_the_process() == before
    parameters = list(loop.model.parameters())
    assert not any(module._forward_hooks for module in loop.model.modules())
    assert not any(parameter._backward_hooks for parameter in parameters)
    assert not any("stepscope" in str(vars(parameter)) for parameter in parameters)

    weak = weakref.ref(loop.model)
    del loop, parameters
    gc.collect()
    assert weak() is None, "the recording holds the model"
    assert observation.evidence
