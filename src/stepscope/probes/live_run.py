"""What every probe knows of the run it looks at."""

import functools
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import ClassMethodDescriptorType
from typing import Any

import torch

from stepscope.probes.gradient_norms import Readings, Size
from stepscope.probes.names import Names


@dataclass(slots=True)
class Made:
    """An optimizer in the order of making."""

    index: int
    steps: int = 0  # taken so far, where they are counted
    turn: int = 0  # of all optimizers, in which it stepped last


class LiveRun:
    """The state that probes share. Only the observation writes to it."""

    def __init__(self, steps_asked: int) -> None:
        self.steps_asked = steps_asked
        self.step = 0  # recorded optimizer steps so far
        self.names = Names(lambda: [*self.held.values()])
        self.modules: list[torch.nn.Module] = []  # whose forward is running, outermost first
        self.in_backward = False
        self.compiled = False  # torch.compile was asked for
        self.grad_enabled = True  # in the program, at the moment that is told
        self.looking = False  # a probe is looking: what torch does now is ours, not the program's
        self.over = False  # nothing is patched any more
        self.moments = 0  # told so far
        self.faults: list[str] = []  # of probes
        self.is_whole = True  # it is watched from its first line, and not only its training
        self.declared: set[str] = set()  # names of classes that its configurations declare
        self.writers: weakref.WeakSet[Any] = weakref.WeakSet()  # `SummaryWriter`s that were heard
        self.backwards = 0  # that the program has called, where they are counted
        self.optimizer_steps = 0  # of all optimizers, where they are counted
        self._optimizers: weakref.WeakKeyDictionary[torch.optim.Optimizer, Made] = (
            weakref.WeakKeyDictionary()
        )
        self._made = 0  # optimizers, dead ones counted
        self.before_export: list[Callable[[], None]] = []  # an export fails on hooks of all modules
        self._undo: list[Callable[[], None]] = []
        self._readings = Readings()

    @property
    def optimizers(self) -> list[torch.optim.Optimizer]:
        """The live optimizers, in the order in which they were made."""
        return list(self._optimizers)

    @property
    def optimizers_made(self) -> int:
        """How many there were, dead ones counted."""
        return self._made

    def optimizer_made(self, optimizer: torch.optim.Optimizer) -> Made:
        """Take note of an optimizer that may be new."""
        made = self._optimizers.get(optimizer)
        if made is None:
            made = self._optimizers[optimizer] = Made(self._made)
            self._made += 1
        return made

    def gradient_sizes(self, tensors: Sequence[torch.Tensor]) -> list[Size | None]:
        """Measure the gradients that tensors hold; each is read once in a moment, whoever asks."""
        return self._readings.sizes([tensor.grad for tensor in tensors], self.moments)

    @property
    def held(self) -> dict[int, torch.Tensor]:
        """The tensors that the live optimizers hold now, by id and in their order."""
        return {
            id(tensor): tensor
            for made in self.optimizers
            for group in made.param_groups
            for tensor in group["params"]
        }

    def index(self, optimizer: torch.optim.Optimizer) -> int:
        """Return the position of an optimizer in the order of making, dead ones counted."""
        return self.optimizer_made(optimizer).index

    def patch(
        self,
        owner: Any,
        name: str,
        around: Callable[[Callable[..., Any]], Callable[..., Any]],
        *,
        is_inert: bool = False,
    ) -> None:
        """Replace `owner.name` until the recording ends by what `around` makes of it.

        `around` takes the original function and returns the one to call in its place, which must
        hand arguments, result and exceptions through unchanged. The program may have taken hold of
        it, or put its own in its place: the one is then called no more when the recording is over,
        unless it `is_inert` by itself, and the other stays.
        """
        if self.over:
            return
        missing = object()
        held = vars(owner).get(name, missing)  # the raw attribute: keeps classmethods whole
        original = getattr(owner, name)
        plain = held.__func__ if isinstance(held, classmethod | staticmethod) else original
        if isinstance(held, ClassMethodDescriptorType):  # a class method written in C

            def plain(cls: Any, *args: Any, **kwargs: Any) -> Any:
                return held.__get__(None, cls)(*args, **kwargs)

        watching = around(plain)

        def until_the_end(*args: Any, **kwargs: Any) -> Any:
            return (plain if self.over else watching)(*args, **kwargs)

        wrapped: Any = functools.wraps(plain)(watching if is_inert else until_the_end)
        if isinstance(held, staticmethod):
            wrapped = staticmethod(wrapped)
        elif isinstance(held, classmethod | ClassMethodDescriptorType):
            wrapped = classmethod(wrapped)
        setattr(owner, name, wrapped)

        def undo() -> None:
            if vars(owner).get(name, missing) is not wrapped:
                return  # the program's own patch, which may call ours
            if held is missing:
                delattr(owner, name)
            else:
                setattr(owner, name, held)

        self._undo.append(undo)

    def on_end(self, undo: Callable[[], None]) -> None:
        """Have this called when the recording ends, last first."""
        self._undo.append(undo)

    def unpatch(self) -> None:
        """Put everything back, but for what the program has replaced."""
        self.over = True
        while self._undo:
            self._undo.pop()()
