"""Whether evaluation can use what normalisation layers have averaged."""

import weakref

import torch
from torch import Tensor, nn

from stepscope.evidence.course.running_statistics import StatisticsBroken
from stepscope.evidence.course.unlearnt_statistics import StatisticsUnlearnt
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import FIRST, Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.fingerprints import readable
from stepscope.probes.live_run import LiveRun
from stepscope.probes.modules import keeps_statistics

SUBJECT, LAYERS = "running statistics", "layers"
LOOKS = FIRST + 1  # at which a layer must be as it was made


class _Layer:
    """What is known of one layer."""

    def __init__(self, module: nn.Module, name: str) -> None:
        self.module = weakref.ref(module)
        self.name = name
        self.training = module.training
        self.as_made = 0  # looks in a row, in the same mode; -1 once it was not
        self.is_told = False


class RunningStatisticsSampler(Sampler):
    """Looks at a few steps, before an optimizer steps: modes are those of training then."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._models = Models(run)
        self._arrivals = Arrivals()
        self._layers: weakref.WeakKeyDictionary[nn.Module, _Layer] = weakref.WeakKeyDictionary()
        self._step = -1

    def gradients_ready(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Look, when it is time to."""
        if self._step == self.run.step:
            return
        self._step = self.run.step
        self._arrivals.hand_on()
        if self._rarely.is_due():
            self._look()

    def ended(self) -> None:
        """Take in what is on its way."""
        self._arrivals.hand_on(wait=True)

    def _look(self) -> None:
        layers: list[_Layer] = []
        numbers: list[Tensor] = []
        for root in self._models.roots():
            for module in root.modules():
                if not keeps_statistics(module):
                    continue
                mean, variance = (readable(each) for each in _statistics(module))
                if mean is None or variance is None:
                    continue
                layers.append(self._layer(module))
                is_sound = mean.isfinite().all() & variance.isfinite().all() & (variance >= 0).all()
                numbers += [is_sound, (mean == 0).all() & (variance == 1).all()]
        if layers:
            steps = self.run.step
            self.notes.number(SUBJECT, LAYERS, len(layers))
            self._arrivals.ask(numbers, lambda values: self._looked(layers, values, steps))

    def _layer(self, module: nn.Module) -> _Layer:
        layer = self._layers.get(module)
        if layer is None:
            layer = self._layers[module] = _Layer(module, self.run.names.module(module))
        if layer.training is not module.training:
            layer.as_made = -1
        return layer

    def _looked(self, layers: list[_Layer], values: list[float], steps: int) -> None:
        broken: list[str] = []
        unlearnt: dict[tuple[bool, float | None], list[str]] = {}
        for layer, is_sound, is_as_made in zip(layers, values[::2], values[1::2], strict=True):
            layer.as_made = layer.as_made + 1 if is_as_made and layer.as_made >= 0 else -1
            if layer.is_told:
                continue
            module = layer.module()
            if not is_sound:
                layer.is_told = True
                broken.append(layer.name)
            elif layer.as_made == LOOKS and module is not None:
                layer.is_told = True
                key = layer.training, getattr(module, "momentum", None)
                unlearnt.setdefault(key, []).append(layer.name)
        if broken:
            self.notes.happen(StatisticsBroken(layers=tuple(broken), until=steps))
        for (training, momentum), names in unlearnt.items():
            self.notes.happen(
                StatisticsUnlearnt(
                    layers=tuple(names), is_training=training, momentum=momentum, until=steps
                )
            )


def _statistics(module: nn.Module) -> tuple[Tensor, Tensor]:
    mean, variance = module._buffers.get("running_mean"), module._buffers.get("running_var")
    none = torch.empty(0)
    return none if mean is None else mean, none if variance is None else variance
