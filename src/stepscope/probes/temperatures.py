"""Watches the single numbers by which a model scales its logits."""

import re
import weakref
from collections.abc import Iterator

import torch
from torch import Tensor

from stepscope.core import Evidence
from stepscope.evidence.losses import Temperature, Temperatures
from stepscope.probes.gradient_norms import read_together
from stepscope.probes.live_run import LiveRun
from stepscope.probes.loss_graph import is_plain
from stepscope.probes.probe import Probe

# logit_scale, log_temperature, temp, tau, logit_scale_finegrained; not a quantizer's plain `scale`
NAME = re.compile(
    r"(^|_)(logit_?scale|log_?scale|(log_?)?(temperature|temp|tau))(_|\d|$)", re.IGNORECASE
)
LOGARITHMIC = re.compile(r"(^|_)log_?(temperature|temp|tau|scale)|(^|_)logit_?scale", re.IGNORECASE)


class TemperaturesProbe(Probe):
    """Finds scales by their names at the first step, and reads them after each."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._found: dict[str, weakref.ref[Tensor]] | None = None
        self._facts: dict[str, tuple[str, bool]] = {}
        self._values: dict[str, list[float]] = {}

    def step_returned(self, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002
        """Read the scales; look for them the first time."""
        if self._found is None:
            self._found = {}
            for root in self.run.names.roots():
                for name, tensor in (*root.named_parameters(), *root.named_buffers()):
                    if (
                        tensor.numel() == 1
                        and is_plain(tensor)
                        and NAME.search(name.rpartition(".")[2])
                    ):
                        self._keep(tensor)
        live = {n: scale for n, held in self._found.items() if (scale := held()) is not None}
        for name, value in zip(live, read_together(list(live.values())), strict=True):
            self._values[name].append(value)

    def _keep(self, tensor: Tensor) -> None:
        name = self.run.names.tensor(tensor)
        assert self._found is not None
        self._found[name] = weakref.ref(tensor)
        self._facts[name] = (str(tensor.dtype).removeprefix("torch."), tensor.requires_grad)
        self._values[name] = []

    def evidence(self) -> Iterator[Evidence]:
        """Give their histories."""
        if self._values:
            yield Temperatures(
                temperatures=tuple(
                    Temperature(
                        name=name,
                        dtype=self._facts[name][0],
                        values=tuple(values),
                        exponential=LOGARITHMIC.search(name.rpartition(".")[2]) is not None,
                        trainable=self._facts[name][1],
                    )
                    for name, values in self._values.items()
                )
            )
