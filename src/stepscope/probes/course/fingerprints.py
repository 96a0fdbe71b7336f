"""Whether what must not move stays as it is, to the bit."""

from collections.abc import Callable
from typing import Any

import torch

from stepscope.evidence.course.followers import Followed
from stepscope.evidence.course.movements import Moved
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.frozen_parts import FrozenTensor, frozen_tensors
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.fingerprints import digests, readable
from stepscope.probes.live_run import LiveRun

SUBJECT = "frozen"


class _Track:
    """One tensor that was frozen at the last look, and its digest then."""

    def __init__(self, frozen: FrozenTensor, layout: tuple[object, ...]) -> None:
        self.frozen = frozen
        self.layout = layout
        self.digest: torch.Tensor | None = None
        self.still = 0  # looks at which it was as at the look before
        self.since = 0  # optimizer steps taken at the last of them
        self.is_told = False


class FingerprintSampler(Sampler):
    """Compares what is frozen, at a few steps, with what it was at the look before."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._models = Models(run)
        self._arrivals = Arrivals()
        self._tracks: dict[int, _Track] = {}  # by id of the tensor
        self._is_loaded = False  # since the last look
        run.patch(torch.nn.Module, "load_state_dict", self._around_load)

    def _around_load(self, load: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            self._is_loaded = True
            return load(*args, **kwargs)

        return observed

    def step_over(self) -> None:
        """Look, when it is time to."""
        self._arrivals.hand_on()
        if self._rarely.is_due():
            self._look(self.run.step + 1)

    def ended(self) -> None:
        """Look once more."""
        self._look(self.run.step)
        self._arrivals.hand_on(wait=True)

    def _look(self, steps: int) -> None:
        self._tracks = {
            id(tensor): self._track(tensor, each)
            for each in frozen_tensors(self.run, self._models.roots())
            if (tensor := each.tensor()) is not None
        }
        tracks = list(self._tracks.values())
        for name, is_statistic in (("parameters", False), ("statistics", True)):
            if count := sum(each.frozen.is_statistic is is_statistic for each in tracks):
                self.notes.number(SUBJECT, name, count)
        before = [each.digest for each in tracks]
        for each, digest in zip(tracks, digests([_plain(each) for each in tracks]), strict=True):
            each.digest = digest
        known = [
            (track, track.digest.ne(was))
            for track, was in zip(tracks, before, strict=True)
            if was is not None and track.digest is not None and not self._is_loaded
        ]
        self._is_loaded = False
        if known:
            self._arrivals.ask(
                [differs for _, differs in known],
                lambda values: self._compared([track for track, _ in known], values, steps),
            )

    def _track(self, tensor: torch.Tensor, frozen: FrozenTensor) -> _Track:
        """Return the track of a tensor: a new one where it is another, or lies otherwise."""
        layout = (tensor.dtype, tensor.device, tuple(tensor.shape), tensor.stride())
        track = self._tracks.get(id(tensor))
        is_same = track is not None and track.frozen.tensor() is tensor and track.layout == layout
        return track if track is not None and is_same else _Track(frozen, layout)

    def _compared(self, tracks: list[_Track], differs: list[float], steps: int) -> None:
        moved: dict[tuple[bool, int], list[str]] = {}
        for track, has_moved in zip(tracks, differs, strict=True):
            if not has_moved:
                track.still += 1
                track.since = steps
            elif not track.is_told:
                track.is_told = True
                since = track.since if track.still else -1
                moved.setdefault((track.frozen.is_statistic, since), []).append(track.frozen.name)
        for (is_statistic, since), names in moved.items():
            if since < 0:
                if not is_statistic:
                    self.notes.happen(Followed(parameters=tuple(names), until=steps))
            elif is_statistic:
                self.notes.happen(Moved(statistics=tuple(names), since=since, until=steps))
            else:
                self.notes.happen(Moved(parameters=tuple(names), since=since, until=steps))


def _plain(track: _Track) -> torch.Tensor:
    tensor = track.frozen.tensor()
    plain = None if tensor is None else readable(tensor)
    assert plain is not None, "found readable in this same moment"
    return plain
