"""What every probe knows of the run it looks at."""

import functools
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch

from stepscope.probes.gradient_norms import Readings, Size
from stepscope.probes.names import Names


class LiveRun:
    """The state that probes share. Only the observation writes to it."""

    def __init__(self, steps_asked: int) -> None:
        self.steps_asked = steps_asked
        self.step = 0  # recorded optimizer steps so far
        self.names = Names(self._trained)
        self.modules: list[torch.nn.Module] = []  # whose forward is running, outermost first
        self.in_backward = False
        self.compiled = False  # torch.compile was asked for
        self.grad_enabled = True  # in the program, at the moment that is told
        self.looking = False  # a probe is looking: what torch does now is ours, not the program's
        self.moments = 0  # told so far
        self.faults: list[str] = []  # of probes
        self._optimizers: list[weakref.ref[torch.optim.Optimizer]] = []
        self._undo: list[Callable[[], None]] = []
        self._readings = Readings()

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The live optimizers, in the order in which they were made."""
        return [made for reference in self._optimizers if (made := reference()) is not None]

    def optimizer_made(self, optimizer: torch.optim.Optimizer) -> None:
        """Take note of a new optimizer."""
        if all(reference() is not optimizer for reference in self._optimizers):
            self._optimizers.append(weakref.ref(optimizer))

    def gradient_sizes(self, tensors: Sequence[torch.Tensor]) -> list[Size | None]:
        """Measure the gradients that tensors hold; each is read once in a moment, whoever asks."""
        return self._readings.sizes([tensor.grad for tensor in tensors], self.moments)

    def _trained(self) -> list[torch.Tensor]:
        return [
            p for made in self.optimizers for group in made.param_groups for p in group["params"]
        ]

    def index(self, optimizer: torch.optim.Optimizer) -> int:
        """Return the position of an optimizer in the order of making, dead ones counted."""
        self.optimizer_made(optimizer)
        return next(i for i, made in enumerate(self._optimizers) if made() is optimizer)

    def patch(
        self, owner: Any, name: str, around: Callable[[Callable[..., Any]], Callable[..., Any]]
    ) -> None:
        """Replace `owner.name` until the recording ends by what `around` makes of it.

        `around` takes the original function and returns the one to call in its place, which must
        hand arguments, result and exceptions through unchanged.
        """
        missing = object()
        held = vars(owner).get(name, missing)  # the raw attribute: keeps classmethods whole
        original = getattr(owner, name)
        plain = held.__func__ if isinstance(held, classmethod | staticmethod) else original
        wrapped: Any = functools.wraps(plain)(around(plain))
        if isinstance(held, classmethod | staticmethod):
            wrapped = type(held)(wrapped)
        setattr(owner, name, wrapped)
        self._undo.append(
            lambda: delattr(owner, name) if held is missing else setattr(owner, name, held)
        )

    def on_end(self, undo: Callable[[], None]) -> None:
        """Have this called when the recording ends, last first."""
        self._undo.append(undo)

    def unpatch(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()
