"""Brings numbers from a device without waiting for it."""

from collections.abc import Sequence

import torch


class Readback:
    """Numbers on their way to the CPU: one copy for all of a device, and an event behind it."""

    def __init__(self, numbers: Sequence[torch.Tensor]) -> None:
        """Take tensors of one element each, of float64, on any devices but the CPU."""
        self._places: list[tuple[int, int]] = []  # of each number: its copy, and where in it
        self._copies: list[torch.Tensor] = []
        self._events: list[torch.Event] = []
        together: dict[torch.device, list[torch.Tensor]] = {}
        order = list(dict.fromkeys(number.device for number in numbers))
        for number in numbers:
            members = together.setdefault(number.device, [])
            self._places.append((order.index(number.device), len(members)))
            members.append(number)
        for device in order:
            self._copies.append(torch.stack(together[device]).to("cpu", non_blocking=True))
            event = torch.Event(device)
            event.record()
            self._events.append(event)

    def values(self, *, wait: bool) -> list[float] | None:
        """Return the numbers in their order; None while they are on their way."""
        for event in self._events:
            if wait:
                event.synchronize()
            elif not event.query():
                return None
        read = [copy.tolist() for copy in self._copies]
        return [read[copy][place] for copy, place in self._places]
