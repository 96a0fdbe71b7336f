"""The random states a forward may draw from: taken, and put back."""

import random
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import torch


@dataclass(frozen=True, slots=True)
class RandomStates:
    """Of torch, on the devices in use, of Python and of NumPy where it is loaded."""

    cpu: torch.Tensor
    devices: dict[torch.device, torch.Tensor]
    python: Any
    numpy: Any

    @classmethod
    def now(cls, tensors: Iterable[torch.Tensor]) -> Self:
        """Take the states as they are; of the devices that hold these tensors."""
        return cls._of({tensor.device for tensor in tensors if tensor.device.type == "cuda"})

    def again(self) -> Self:
        """Take the states of the same devices as they are now."""
        return self._of(self.devices)

    @classmethod
    def _of(cls, devices: Iterable[torch.device]) -> Self:
        numpy = sys.modules.get("numpy")
        return cls(
            cpu=torch.get_rng_state(),
            devices={device: torch.cuda.get_rng_state(device) for device in devices},
            python=random.getstate(),
            numpy=numpy.random.get_state() if numpy is not None else None,
        )

    def restore(self) -> None:
        """Put them back."""
        torch.set_rng_state(self.cpu)
        for device, state in self.devices.items():
            torch.cuda.set_rng_state(state, device)
        random.setstate(self.python)
        if self.numpy is not None:
            sys.modules["numpy"].random.set_state(self.numpy)
