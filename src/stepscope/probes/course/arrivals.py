"""Numbers that a sampler asks devices for, and is told of once they have arrived."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from stepscope.probes.course.readback import Readback


@dataclass(frozen=True, slots=True)
class _Asked:
    here: dict[int, float]  # numbers that are known already, by place
    away: tuple[int, ...]  # places of the others
    read: Readback
    then: Callable[[list[float]], None]


class Arrivals:
    """Hands numbers on in the order in which they were asked for. Nothing waits for a device."""

    def __init__(self) -> None:
        self._waiting: deque[_Asked] = deque()

    @property
    def is_waiting(self) -> bool:
        """Whether numbers are on their way."""
        return bool(self._waiting)

    def ask(self, numbers: Sequence[torch.Tensor], then: Callable[[list[float]], None]) -> None:
        """Read tensors of one element each; `then` is given them, at once where all are here."""
        flat = [number.detach().reshape(()) for number in numbers]
        here = {i: float(number) for i, number in enumerate(flat) if number.device.type == "cpu"}
        away = tuple(i for i in range(len(flat)) if i not in here)
        read = Readback([flat[i].double() for i in away])
        self._waiting.append(_Asked(here, away, read, then))
        self.hand_on()

    def hand_on(self, *, wait: bool = False) -> None:
        """Tell of what has come in the meantime; with `wait`, of everything."""
        while self._waiting:
            asked = self._waiting[0]
            values = asked.read.values(wait=wait)
            if values is None:
                return
            self._waiting.popleft()
            known = {**asked.here, **dict(zip(asked.away, values, strict=True))}
            asked.then([known[i] for i in range(len(known))])
