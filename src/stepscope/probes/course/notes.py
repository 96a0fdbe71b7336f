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

    step: int = 0
    seconds: float = 0.0
    numbers: dict[str, dict[str, float]] = field(default_factory=dict)
    waiting: dict[tuple[str, str], torch.Tensor] = field(default_factory=dict)
    happened: list[Happening] = field(default_factory=list)
    read: Readback | None = None


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
        self.step = 0  # the present one
        self.is_sampled = True
        self.is_stirred = False
        self.awaits_backward = False
        self._hand_on = hand_on
        self._heard = heard
        self._began = time.monotonic()
        self._open: _Open | None = None
        self._waiting: deque[_Open] = deque()

    @property
    def are_waiting(self) -> bool:
        """Whether anything was noted that is not handed on yet."""
        return self._open is not None or len(self._waiting) > 0

    @property
    def seconds(self) -> float:
        """Time since the notes began."""
        return time.monotonic() - self._began

    def number(self, subject: str, name: str, value: float | torch.Tensor) -> None:
        """Note a number, or a tensor of one element, which may change afterwards."""
        line = self._open = self._open or _Open()
        if isinstance(value, torch.Tensor):
            if value.device.type != "cpu":
                line.waiting[subject, name] = (
                    value.detach().to(torch.float64, copy=True).reshape(())
                )
                return
            value = float(value.detach())
        line.numbers.setdefault(subject, {})[name] = value

    def happen(self, happening: Happening) -> None:
        """Note that something happened in the present step."""
        self._open = self._open or _Open()
        self._open.happened.append(happening)
        self._heard(happening)

    def stir(self) -> None:
        """Have samplers told that the present step is over, though it may not be sampled."""
        self.is_stirred = True

    def close(self, step: int) -> None:
        """Close the line of the present step, and begin that of the next."""
        line, self._open = self._open, None
        if line is not None:
            line.step, line.seconds = self.step, self.seconds
            if line.waiting:
                line.read = Readback(tuple(line.waiting.values()))
            self._waiting.append(line)
        self.step = step
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
