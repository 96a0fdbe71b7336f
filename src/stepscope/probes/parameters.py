"""Which parameters and buffers there are, and whether their bits moved."""

import weakref
from collections.abc import Iterator

import torch

from stepscope.core import Evidence
from stepscope.evidence.parameters import Buffer, Buffers, Parameter, Parameters
from stepscope.probes.fingerprints import (
    fingerprints,
    forget_layouts,
    largest,
    readable,
    samples,
    spacing,
)
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe

STATISTICS = ("running_mean", "running_var")


class _Track:
    """The history of one tensor. An entry is complete when its step has returned."""

    def __init__(self, tensor: torch.Tensor) -> None:
        self.tensor = weakref.ref(tensor)
        self.name = ""
        self.aliases: tuple[str, ...] = ()
        self.in_module = False
        self.replaced = False
        self.is_buffer = False
        self.shape = tuple(tensor.shape)
        self.dtype = str(tensor.dtype).removeprefix("torch.")
        self.nbytes = tensor.numel() * tensor.element_size()
        self.first_step = 0
        self.requires_grad: list[bool] = []
        self.before: list[int] = []
        self.after: list[int] = []
        self.stepped: list[bool] = []
        self.values: list[float] = []
        self.spacing = 0.0
        self.coarsest = 0.0
        self.first: torch.Tensor | None = None  # of half precision and running statistics only
        self.moved: float | None = None  # share of sampled elements, or largest of a statistic
        self.is_open = False  # `before` of the running step has been taken


class ParametersProbe(Probe):
    """Fingerprints all parameters and buffers before and after each recorded step.

    A tensor that appears later has entries from the first step that it saw whole: fewer than
    there are steps, still in order. Tensors whose bits cannot be read are left out.
    """

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._tracks: dict[int, _Track] = {}
        self._gone: list[_Track] = []  # their tensors died; ids are used again
        self._alive: list[torch.Tensor] = []  # for one moment: a discarded model may go any time
        self._frozen: dict[int, int] = {}  # held by the stepping optimizer, before its step
        run.on_end(forget_layouts)

    def step_opened(self) -> None:
        """Take `before` of all tensors."""
        live = self._find()
        for track, number in zip(live, fingerprints(_data(live)), strict=True):
            track.is_open = True
            if not track.before:
                track.first_step = self.run.step
            track.before.append(number)
            track.requires_grad.append(_requires_grad(track))
        new = [track for track in live if len(track.before) == 1 and not track.is_buffer]
        most = largest(_data(new))
        for track, sample, top in zip(new, samples(_data(new)), most, strict=True):
            track.coarsest = spacing(top, sample.dtype)
            if sample.is_floating_point():
                track.spacing = spacing(float(sample.double().abs().min()), sample.dtype)
            if sample.dtype in (torch.bfloat16, torch.float16):
                track.first = sample
        for track in live:
            statistic = track.is_buffer and track.name.rpartition(".")[2] in STATISTICS
            if statistic and len(track.before) == 1:
                track.first = _data([track])[0].clone()
        self._alive.clear()

    def backward_called(self, roots: tuple[torch.Tensor, ...]) -> None:  # noqa: ARG002
        """Count a part as requiring gradients that is thawed for its own backward only."""
        self._note_thawed()

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:
        """Fingerprint what is frozen and yet held, right before the optimizer moves it."""
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        frozen = [
            track
            for key, track in self._tracks.items()
            if key in held and _is_readable(track) and not _requires_grad(track)
        ]
        self._frozen = dict(
            zip((id(track) for track in frozen), fingerprints(_data(frozen)), strict=True)
        )

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Take `after` of all tensors whose `before` is known."""
        self._note_thawed()
        live = [track for track in self._find() if track.is_open]
        for track, number in zip(live, fingerprints(_data(live)), strict=True):
            track.is_open = False
            track.after.append(number)
            track.stepped.append(self._frozen.get(id(track), number) != number)
        single = [t for t in live if not t.is_buffer and t.shape in ((), (1,))]
        for track, sample in zip(single, samples(_data(single)), strict=True):
            track.values.append(float(sample.double()))
        _measure(live)
        self._alive.clear()
        self._frozen = {}

    def evidence(self) -> Iterator[Evidence]:
        """Hand out all tensors that were seen through at least one step."""
        tracks = [track for track in (*self._gone, *self._tracks.values()) if track.after]
        if tracks:
            yield Parameters(parameters=tuple(_parameter(t) for t in tracks if not t.is_buffer))
            yield Buffers(buffers=tuple(_buffer(t) for t in tracks if t.is_buffer))

    def _note_thawed(self) -> None:
        for track in self._tracks.values():
            if track.is_open and _requires_grad(track):
                track.requires_grad[-1] = True

    def _find(self) -> list[_Track]:
        """Return the tracks of all live tensors, new ones too, under their present names."""
        names = self.run.names
        held = list(self.run.held.values())
        if not names.roots() or any(names.known(tensor) is None for tensor in held):
            names.refresh()
        found: dict[int, _Track] = {}
        for root in names.roots():
            for module in root.modules():
                for parameter in module._parameters.values():
                    self._track(parameter, found, in_module=True)
                for buffer in module._buffers.values():
                    self._track(buffer, found, in_module=True, is_buffer=True)
        for tensor in held:
            self._track(tensor, found)
        return list(found.values())

    def _track(
        self,
        tensor: torch.Tensor | None,
        found: dict[int, _Track],
        *,
        in_module: bool = False,
        is_buffer: bool = False,
    ) -> None:
        if tensor is None or id(tensor) in found or readable(tensor) is None:
            return
        track = self._tracks.get(id(tensor))
        if track is None or track.tensor() is not tensor:
            if track is not None:
                self._gone.append(track)
            track = self._tracks[id(tensor)] = _Track(tensor)
        track.replaced = track.replaced or (track.in_module and not in_module)
        track.in_module = in_module
        track.is_buffer = is_buffer
        track.name = self.run.names.tensor(tensor)
        track.aliases = self.run.names.aliases(tensor)
        found[id(tensor)] = track
        self._alive.append(tensor)


def _is_readable(track: _Track) -> bool:
    tensor = track.tensor()
    return tensor is not None and readable(tensor) is not None


def _requires_grad(track: _Track) -> bool:
    tensor = track.tensor()
    return tensor is not None and tensor.requires_grad


def _data(tracks: list[_Track]) -> list[torch.Tensor]:
    """Return the readable tensors of live tracks."""
    data = []
    for track in tracks:
        tensor = track.tensor()
        assert tensor is not None, "found alive in this same moment"
        plain = readable(tensor)
        assert plain is not None, "found readable in this same moment"
        data.append(plain)
    return data


def _measure(live: list[_Track]) -> None:
    """Compare half-precision samples and running statistics with their beginning."""
    half = [track for track in live if track.first is not None and not track.is_buffer]
    for track, sample in zip(half, samples(_data(half)), strict=True):
        assert track.first is not None
        if sample.shape == track.first.shape:
            track.moved = float((sample != track.first).double().mean())
    statistics = [track for track in live if track.first is not None and track.is_buffer]
    pairs = [
        (track, now, track.first)
        for track, now in zip(statistics, _data(statistics), strict=True)
        if track.first is not None and now.shape == track.first.shape and now.numel()
    ]
    if pairs:
        differences = torch._foreach_sub([now for _, now, _ in pairs], [was for _, _, was in pairs])
        moves = torch._foreach_norm(differences, float("inf"))
        for (track, _, _), move in zip(pairs, torch.stack(moves).tolist(), strict=True):
            track.moved = move


def _owner(track: _Track) -> str:
    return track.name.rpartition(".")[0] if track.in_module else ""


def _parameter(track: _Track) -> Parameter:
    steps = len(track.after)  # a step that never returned has no `after`
    return Parameter(
        name=track.name,
        owner=_owner(track),
        shape=track.shape,
        dtype=track.dtype,
        nbytes=track.nbytes,
        first_step=track.first_step,
        requires_grad=tuple(track.requires_grad[:steps]),
        before=tuple(track.before[:steps]),
        after=tuple(track.after),
        stepped=tuple(track.stepped),
        values=tuple(track.values),
        spacing=track.spacing,
        coarsest=track.coarsest,
        share_changed=track.moved,
        in_module=track.in_module,
        replaced=track.replaced,
        aliases=track.aliases,
    )


def _buffer(track: _Track) -> Buffer:
    return Buffer(
        name=track.name,
        owner=_owner(track),
        shape=track.shape,
        dtype=track.dtype,
        before=tuple(track.before[: len(track.after)]),
        after=tuple(track.after),
        largest_move=track.moved or 0.0,
    )
