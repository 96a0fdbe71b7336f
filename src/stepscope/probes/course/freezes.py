"""Whether what is frozen stays so: its mode, and that it requires no gradient."""

from collections.abc import Iterable

import torch

from stepscope.core import Place
from stepscope.evidence.course.mode_turns import ModeTurned
from stepscope.evidence.course.thaws import Thawed
from stepscope.evidence.parameters import is_below
from stepscope.probes.course.frozen_parts import (
    FrozenLayer,
    FrozenTensor,
    frozen_layers,
    frozen_parameters,
)
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.course.switches import THAW, TRAIN, Switches
from stepscope.probes.live_run import LiveRun


class FreezeSampler(Sampler):
    """Glances at each sampled step, before an optimizer steps, at what was frozen at the last."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._switches = Switches(run)
        self._rarely = Rarely()
        self._models = Models(run)
        self._step = -1  # last glance
        self._layers: dict[str, FrozenLayer] = {}
        self._asleep: set[str] = set()  # layers that were in evaluation mode at the last glance
        self._frozen: dict[str, FrozenTensor] = {}
        self._told: set[str] = set()  # layers and parameters

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Compare with the last glance, and look for what is frozen now, when it is time to."""
        if self._step == self.run.step:
            return
        since, self._step = self._step, self.run.step
        self._glance(since)
        if self._rarely.is_due():
            roots = self._models.roots()
            self._layers = {each.name: each for each in frozen_layers(self.run, roots)}
            self._frozen = {each.name: each for each in frozen_parameters(self.run, roots)}
        self._asleep = {
            name
            for name, each in self._layers.items()
            if (module := each.module()) is not None and not module.training
        }

    def _glance(self, since: int) -> None:
        thawed = [
            name
            for name, each in self._frozen.items()
            if (tensor := each.tensor()) is not None and tensor.requires_grad
        ]
        for name in thawed:
            del self._frozen[name]
        for name in [name for name in self._layers if _is_thawed(name, thawed)]:
            del self._layers[name]
        awake = [name for name in self._layers if name in self._asleep]
        awake = [name for name in awake if _is_training(self._layers[name])]
        for at, names in self._by_line(THAW, thawed).items():
            self.notes.happen(Thawed(parameters=names, since=since, until=self._step, at=at))
        for at, names in self._by_line(TRAIN, awake).items():
            self.notes.happen(ModeTurned(modules=names, since=since, until=self._step, at=at))

    def _by_line(self, call: str, names: Iterable[str]) -> dict[Place, tuple[str, ...]]:
        """Return what is told of for the first time, by the line that switched it."""
        found: dict[Place, tuple[str, ...]] = {}
        for name in names:
            if name not in self._told:
                self._told.add(name)
                at = self._switches.last(call, name)
                found[at] = (*found.get(at, ()), name)
        return found


def _is_training(layer: FrozenLayer) -> bool:
    module = layer.module()
    return module is not None and module.training


def _is_thawed(layer: str, thawed: Iterable[str]) -> bool:
    """Tell whether something in a layer, or in the module above it, has just been thawed."""
    around = layer.rpartition(".")[0]
    return any(is_below(name, around) for name in thawed)
