"""How far the counters of modules have come that turn something on."""

import weakref
from dataclasses import dataclass

import torch

from stepscope.evidence.course.counters import CounterFound
from stepscope.probes.course.banks import keeps_bank
from stepscope.probes.course.comparisons import comparisons
from stepscope.probes.course.models import Models
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.rarely import Rarely
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun

SUBJECT = "counter"
MOST = 32  # counters in a run


@dataclass(frozen=True, slots=True)
class _Counter:
    module: weakref.ref[torch.nn.Module]
    attribute: str


class CounterSampler(Sampler):
    """Finds them at a few steps, and reads them at each sampled one."""

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._rarely = Rarely()
        self._models = Models(run)
        self._counters: dict[str, _Counter] = {}

    def step_over(self) -> None:
        """Read what the step has left."""
        if self._rarely.is_due():
            for root in self._models.roots():
                for module in root.modules():
                    self._find(module)
        self._read()

    def ended(self) -> None:
        """Read them once more, where the models are still there."""
        self._read()

    def _find(self, module: torch.nn.Module) -> None:
        kind: type = type(module)
        for each in comparisons(kind):
            limit = _number(getattr(module, each.threshold, None))
            value = _number(getattr(module, each.counter, None))
            if limit is None or value is None or len(self._counters) >= MOST:
                continue
            owner = self.run.names.module(module)
            prefix = f"{owner}." if owner else ""
            name = prefix + each.counter
            if name in self._counters:
                continue
            self._counters[name] = _Counter(weakref.ref(module), each.counter)
            self.notes.happen(
                CounterFound(
                    name=name,
                    threshold=prefix + each.threshold,
                    limit=float(limit),
                    is_inclusive=each.is_inclusive,
                    of_bank=keeps_bank(module),
                    at=each.at,
                )
            )

    def _read(self) -> None:
        for name, counter in self._counters.items():
            module = counter.module()
            value = _number(getattr(module, counter.attribute, None))
            if value is not None:
                self.notes.number(SUBJECT, name, value)


def _number(value: object) -> float | torch.Tensor | None:
    """Return a number, or a tensor of one element."""
    if isinstance(value, torch.Tensor):
        return value if value.numel() == 1 and not value.is_meta else None
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return None
