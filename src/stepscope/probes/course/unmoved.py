"""Whether what an optimizer trains has moved at all. What has is never looked at again."""

import weakref
from typing import NamedTuple

import torch
from torch import Tensor

from stepscope.evidence.course.unmoved import Stuck, Unmoved
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import FIRST, Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.fingerprints import digests, readable, spacing
from stepscope.probes.live_run import LiveRun
from stepscope.probes.schedules import rates

INTERVALS = FIRST + 1  # between looks, in each of which it should have moved


class _Track:
    """One parameter that has not been seen to move."""

    def __init__(self, parameter: Tensor, digest: Tensor, since: int) -> None:
        self.parameter = weakref.ref(parameter)
        self.digest = digest
        self.since = since
        self.due = 0.0, 0.0  # lr and largest gradient at the last look
        self.intervals = 0
        self.lr = self.gradient = float("inf")


class _Look(NamedTuple):
    track: _Track
    lr: float
    numbers: tuple[Tensor, Tensor, Tensor]  # moved, largest gradient, largest element


class UnmovedSampler(Sampler):
    """Looks at a few steps, before each optimizer steps."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._arrivals = Arrivals()
        self._step = -1
        self._is_due = False
        self._tracks: dict[int, dict[int, _Track]] = {}  # by optimizer, by id of the parameter
        self._moving: set[int] = set()  # optimizers of which something moved

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Begin with all that it holds, and go on with what has not moved yet."""
        if self._step != self.run.step:
            self._step = self.run.step
            self._arrivals.hand_on()
            self._is_due = self._rarely.is_due()
        if self._is_due:
            self._look(optimizer)

    def _look(self, optimizer: torch.optim.Optimizer) -> None:
        place = self.run.index(optimizer)
        tracks = self._tracks.get(place)
        chosen: list[tuple[Tensor, Tensor, float]] = []
        for group, lr in zip(optimizer.param_groups, rates(optimizer), strict=True):
            for parameter in group["params"]:
                plain = readable(parameter) if parameter.requires_grad else None
                if plain is not None and (tracks is None or id(parameter) in tracks):
                    chosen.append((parameter, plain, lr))
        if not chosen:
            self._tracks.setdefault(place, {})
            return
        now = digests([plain for _, plain, _ in chosen])
        if tracks is None:
            tracks = self._tracks[place] = {
                id(parameter): _Track(parameter, digest, self.run.step)
                for (parameter, _, _), digest in zip(chosen, now, strict=True)
            }
        looks: list[_Look] = []
        for (parameter, plain, lr), digest in zip(chosen, now, strict=True):
            track = tracks[id(parameter)]
            if track.parameter() is parameter and plain.is_floating_point():
                numbers = digest.ne(track.digest), _largest(parameter.grad, plain), _largest(plain)
                looks.append(_Look(track, lr, numbers))
        steps = self.run.step
        self._arrivals.ask(
            [number for look in looks for number in look.numbers],
            lambda values: self._compared(place, looks, values, steps),
        )

    def _compared(self, place: int, looks: list[_Look], values: list[float], steps: int) -> None:
        stuck: dict[int, list[Stuck]] = {}
        moved: set[int] = set()
        for i, (track, lr, _) in enumerate(looks):
            has_moved, gradient, largest = values[3 * i : 3 * i + 3]
            if has_moved:
                moved.add(id(track))
                continue
            if all(0 < each < float("inf") for each in track.due):
                track.intervals += 1
                track.lr = min(track.lr, track.due[0])
                track.gradient = min(track.gradient, track.due[1])
                if track.intervals == INTERVALS:
                    stuck.setdefault(track.since, []).append(self._stuck(track, largest))
            track.due = lr, gradient
        if moved:
            self._moving.add(place)
            left = self._tracks[place].items()
            self._tracks[place] = {key: each for key, each in left if id(each) not in moved}
        for since, found in stuck.items():
            if place in self._moving:
                self.notes.happen(Unmoved(parameters=tuple(found), since=since, until=steps))

    def _stuck(self, track: _Track, largest: float) -> Stuck:
        parameter = track.parameter()
        return Stuck(
            name="" if parameter is None else self.run.names.tensor(parameter),
            lr=track.lr,
            gradient=track.gradient,
            coarsest=spacing(largest, torch.float64 if parameter is None else parameter.dtype),
        )


def _largest(tensor: Tensor | None, like: Tensor | None = None) -> Tensor:
    """Return the largest absolute element; 0 of what is not there, or cannot be read."""
    if tensor is not None and hasattr(tensor, "to_local"):  # a DTensor: the part on this process
        tensor = tensor.to_local()
    if tensor is None or tensor.layout is not torch.strided or not tensor.numel():
        return torch.zeros((), device=None if like is None else like.device)
    return torch.stack(torch.aminmax(tensor.detach())).abs().amax()
