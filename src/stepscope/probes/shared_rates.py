"""Rates that a scheduler gives to all groups alike, those made with a rate of 0 among them."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from torch.optim import lr_scheduler, swa_utils

from stepscope.evidence.optimizers import SharedRate
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.schedules import as_number, rates, unwrapped
from stepscope.probes.source_lines import PROGRAM, running_line

Settings = dict[str, Any]  # what a scheduler was made with, defaults included
COSINE = "{rate:g} (1 - cos(pi t / {after})) / 2"
RISE = "a rise to {rate:g} at t = {after}"


@dataclass(frozen=True, slots=True)
class _Law:
    """How one class of schedulers brings a group from 0 to a setting that all groups share."""

    setting: str
    after: Callable[[Settings], Any]  # its steps until then, or None where it does not know
    text: str


def _span(settings: Settings) -> int | None:
    """Return the steps of an MMEngine schedule; without an end it has 10^9 by default."""
    steps = settings["end"] - settings["begin"]
    return int(steps) if steps < 10**9 else None


def _peak(settings: Settings) -> int | None:
    total = settings["total_steps"]
    if total is None and settings.get("epochs") and settings.get("steps_per_epoch"):
        total = settings["epochs"] * settings["steps_per_epoch"]
    return None if total is None else int(settings["pct_start"] * total) - 1


# Read off the `get_lr` of each class, with 0 for the base rate of the group.
_TORCH = {
    lr_scheduler.CosineAnnealingLR: _Law("eta_min", lambda s: s["T_max"], COSINE),
    lr_scheduler.CosineAnnealingWarmRestarts: _Law("eta_min", lambda s: s["T_0"], COSINE),
    lr_scheduler.OneCycleLR: _Law("max_lr", _peak, RISE),
    lr_scheduler.CyclicLR: _Law("max_lr", lambda s: s["step_size_up"], RISE),
    swa_utils.SWALR: _Law("swa_lr", lambda s: s["anneal_epochs"], RISE),
}
_MMENGINE = {
    "CosineAnnealingParamScheduler": _Law("eta_min", lambda s: s["T_max"] or _span(s), COSINE),
    "PolyParamScheduler": _Law("eta_min", lambda s: (_span(s) or 1) - 1, RISE),
    "OneCycleParamScheduler": _Law("eta_max", _peak, RISE),
}
_TIMM = {"CosineLRScheduler": _Law("lr_min", lambda s: s["t_initial"], COSINE)}


class SharedRates:
    """Every scheduler that is made with one rate for all groups."""

    def __init__(self, run: LiveRun) -> None:
        self.found: list[SharedRate] = []
        self._run = run
        for kind, law in _TORCH.items():
            run.patch(kind, "__init__", self._around_making(law))
        self._when_imported("mmengine.optim.scheduler.param_scheduler", _MMENGINE)
        self._when_imported("timm.scheduler.cosine_lr", _TIMM)

    def _when_imported(self, module: str, laws: dict[str, _Law]) -> None:
        def watch(imported: ModuleType) -> None:
            for name, law in laws.items():
                if (kind := vars(imported).get(name)) is not None:
                    self._run.patch(kind, "__init__", self._around_making(law))

        when_imported(self._run, module, watch)

    def _around_making(self, law: _Law) -> Callable[[Callable[..., None]], Callable[..., None]]:
        def around(make: Callable[..., None]) -> Callable[..., None]:
            signature = inspect.signature(make)

            def observed(scheduler: Any, *args: Any, **kwargs: Any) -> None:
                optimizer = unwrapped(args[0] if args else kwargs.get("optimizer"))
                is_known = any(optimizer is each for each in self._run.optimizers)
                before = rates(optimizer) if is_known and not self._run.looking else None
                make(scheduler, *args, **kwargs)
                if before is not None:
                    bound = signature.bind(scheduler, *args, **kwargs)
                    bound.apply_defaults()
                    self._keep(scheduler, optimizer, before, law, bound.arguments)

            return observed

        return around

    def _keep(
        self,
        scheduler: Any,
        optimizer: Any,
        before: tuple[float, ...],
        law: _Law,
        settings: Settings,
    ) -> None:
        value = settings[law.setting]
        if value is None or isinstance(value, list | tuple):
            return  # none, or one for each group
        if settings.get("param_name", "lr") != "lr":
            return  # MMEngine schedules momentum by the same classes
        after = law.after(settings)
        rate = as_number(value)
        self.found.append(
            SharedRate(
                scheduler=type(scheduler).__name__,
                optimizer=self._run.index(optimizer),
                setting=law.setting,
                rate=rate,
                law=law.text.format(rate=rate, after=after) if after else "",
                lrs=before,
                at=running_line(PROGRAM),
            )
        )
