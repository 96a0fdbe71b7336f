"""What is noted of a run, and handed on as lines once its numbers can be read."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from stepscope.evidence.course.line import Happening, Line
from stepscope.probes.course.readback import Readback


@dataclass(slots=True)
class _Open:
    """A line that is still being written."""

    step: int
    seconds: float = 0.0
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    waiting: dict[tuple[str, str], torch.Tensor] = field(default_factory=dict)
    happened: list[Happening] = field(default_factory=list)
    read: Readback | None = None

    @property
    def is_empty(self) -> bool:
        return not (self.numbers or self.waiting or self.happened)


class Notes:
    """Takes numbers and happenings of the present step. Nothing here waits for a device.

    `hand_on` gets each line, in order, when all its numbers have arrived; `heard` each happening
    at once.
    """

    def __init__(
        self,
        hand_on: Callable[[Line], None],
        heard: Callable[[Happening], None] = lambda _: None,
    ) -> None:
        self.is_sampled = True  # the present step
        self._hand_on = hand_on
        self._heard = heard
        self._began = time.monotonic()
        self._open = _Open(0)
        self._waiting: deque[_Open] = deque()

    @property
    def seconds(self) -> float:
        """Time since the notes began."""
        return time.monotonic() - self._began

    def number(self, subject: str, name: str, value: float | torch.Tensor) -> None:
        """Note a number, or a tensor of one element, which may change afterwards."""
        if isinstance(value, torch.Tensor):
            if value.device.type != "cpu":
                self._open.waiting[subject, name] = (
                    value.detach().to(torch.float64, copy=True).reshape(())
                )
                return
            value = float(value.detach())
        self._open.numbers.setdefault(subject, {})[name] = value

    def happen(self, happening: Happening) -> None:
        """Note that something happened in the present step."""
        self._open.happened.append(happening)
        self._heard(happening)

    def close(self, step: int) -> None:
        """Close the line of the present step, and begin that of the next."""
        if self._open.is_empty:
            self._open.step = step
        else:
            line, self._open = self._open, _Open(step)
            line.seconds = self.seconds
            if line.waiting:
                line.read = Readback(tuple(line.waiting.values()))
            self._waiting.append(line)
        if self._waiting:
            self._deliver(wait=False)

    def end(self, step: int) -> None:
        """Close the last line, and wait for everything that is on its way."""
        self.close(step)
        self._deliver(wait=True)

    def _deliver(self, *, wait: bool) -> None:
        while self._waiting:
            line = self._waiting[0]
            if line.read is not None:
                values = line.read.values(wait=wait)
                if values is None:
                    return
                for (subject, name), value in zip(line.waiting, values, strict=True):
                    line.numbers.setdefault(subject, {})[name] = value
            self._waiting.popleft()
            self._hand_on(
                Line(
                    step=line.step,
                    seconds=line.seconds,
                    numbers=line.numbers,
                    happened=tuple(line.happened),
                )
            )
