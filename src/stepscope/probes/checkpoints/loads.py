"""Every load into a module before the first step, and what it changed."""

import functools
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import msgspec
import torch
from torch import Tensor, nn

from stepscope.core import Evidence
from stepscope.evidence.checkpoints import Checkpoints, Load, ValueBefore
from stepscope.probes.checkpoints.after_loading import AfterLoading, Fate, bits_of
from stepscope.probes.checkpoints.files_tried import FilesTried, tensors_in
from stepscope.probes.checkpoints.matching import fit, own_tensors
from stepscope.probes.checkpoints.optimizer_loads import OptimizerLoads, at_start
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.probe import Probe
from stepscope.probes.source_lines import PROGRAM, running_line

MOST_LOADS = 64
MOST_NUMBERS = 64  # of one load
SHARDED = ("FullyShardedDataParallel", "FSDPModule")  # keys are not those of their tensors


@dataclass(slots=True)
class _Loading:
    """A load that is under way. Holds no tensor: `assign=True` is to free the old ones."""

    strict: bool
    bits: dict[str, int] = field(default_factory=dict)  # fingerprints before it
    numbers: dict[str, float] = field(default_factory=dict)  # single elements before it
    reported: tuple[Iterable[str], Iterable[str]] | None = None  # missing, unexpected
    raised: bool = True


class CheckpointsProbe(Probe):
    """Watches from the start of the program until its first optimizer step begins."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._lookout = Lookout(run, type(self).__name__)
        self._files = FilesTried(run, self._lookout)
        self._fates = AfterLoading(run, self._lookout)
        self._optimizers = OptimizerLoads(run, self._lookout, self._files)
        self._loads: list[tuple[weakref.ref[nn.Module], Load]] = []
        self._inside = False
        self._started = False
        run.patch(nn.Module, "load_state_dict", lambda load: self._around_load(load, strict=True))
        # MMEngine's own function loads module by module, around `Module.load_state_dict`.
        when_imported(run, "mmengine.runner.checkpoint", self._watch_mmengine)

    def step_called(self, optimizer: torch.optim.Optimizer) -> None:
        """Compare, at the first step, what was loaded with what training starts from."""
        del optimizer
        if self._started:
            return
        self._started = True
        self._optimizers.start()
        found = self._fates.at_start()
        for index, (module, load) in enumerate(self._loads):
            mine = [(fate, bits) for fate, bits in found if fate.load == index]
            self._loads[index] = module, self._named(module(), _ended(load, mine))

    def evidence(self) -> Iterator[Evidence]:
        """Say what was tried and loaded, by the names of the first step, or else of the end."""
        if not self._started:
            self._loads = [(module, self._named(module(), load)) for module, load in self._loads]
        yield Checkpoints(
            tried=self._files.tried(),
            loads=tuple(load for _, load in self._loads),
            optimizer_loads=self._optimizers.seen(),
            read_from_memory=self._files.read_from_memory,
        )

    def _named(self, module: nn.Module | None, load: Load) -> Load:
        if module is None:
            return load
        name = self.run.names.module(module)
        lead = f"{name}." if name else ""
        return msgspec.structs.replace(
            load,
            module=name,
            reinitialised=tuple(lead + key for key in load.reinitialised),
            equal_at_start=tuple(lead + key for key in load.equal_at_start),
            numbers=tuple(
                msgspec.structs.replace(number, name=lead + number.name) for number in load.numbers
            ),
        )

    def _watch_mmengine(self, module: ModuleType) -> None:
        if not self._started:
            around = functools.partial(self._around_load, strict=False)
            self.run.patch(module, "load_state_dict", around)

    def _around_load(self, load: Callable[..., Any], *, strict: bool) -> Callable[..., Any]:
        """Watch a function of `(module, state_dict, strict=...)`, outermost calls only."""

        def observed(module: nn.Module, *args: Any, **kwargs: Any) -> Any:
            state = args[0] if args else kwargs.get("state_dict")
            if not self._is_watched() or not isinstance(state, Mapping):
                return load(module, *args, **kwargs)
            loading = _Loading(bool(args[1] if len(args) > 1 else kwargs.get("strict", strict)))
            with self._lookout.looking():
                own = own_tensors(module)
                loading.bits = bits_of(own)
                loading.numbers = _numbers(own)
                del own
            self._inside = True
            try:
                result = load(module, *args, **kwargs)
                loading.raised = False
                if result is not None:
                    loading.reported = result.missing_keys, result.unexpected_keys
            finally:
                self._inside = False
                with self._lookout.looking():
                    self._keep(module, state, loading)
            return result

        return observed

    def _is_watched(self) -> bool:
        free = not (self._inside or self._started)
        return free and len(self._loads) < MOST_LOADS and self._lookout.is_open()

    def _keep(self, module: nn.Module, state: Mapping[str, object], loading: _Loading) -> None:
        own = own_tensors(module)
        in_file = sum(1 for _ in tensors_in(state))
        if not own or not in_file or _is_sharded(module):
            return
        fitted = fit(own, state, loading.reported)
        loaded = {key: own[key] for key in fitted.matched}
        after = self._fates.follow(len(self._loads), loaded, loading.bits)
        now = _numbers(loaded)
        path = self._files.origin(state)
        load = Load(
            module=type(module).__name__,
            path=path,
            strict=loading.strict,
            raised=loading.raised,
            from_this_run=bool(path) and self._files.written_in_this_run(path),
            in_file=in_file,
            matched=len(loaded),
            total=len(own),
            matched_bytes=sum(tensor.nbytes for tensor in loaded.values()),
            total_bytes=sum(tensor.nbytes for tensor in own.values()),
            missing=fitted.missing,
            unexpected=fitted.unexpected,
            mismatched=fitted.mismatched,
            prefix=fitted.repair,
            prefix_matched=fitted.repaired,
            changed=sum(key not in after or after[key] != loading.bits.get(key) for key in loaded),
            numbers=tuple(
                ValueBefore(name=key, before=old, after=now[key])
                for key, old in loading.numbers.items()
                if key in now and now[key] != old
            ),
            at=running_line(PROGRAM),
        )
        self._loads.append((weakref.ref(module), load))


def _ended(load: Load, fates: list[tuple[Fate, int]]) -> Load:
    """Add what the first step finds: fates of this load's tensors, with their bits now."""
    reset = [fate for fate, bits in fates if bits != fate.after and bits == fate.initialised]
    numbers = {number.name for number in load.numbers}
    tensors = {fate.key: fate.tensor() for fate, _ in fates if fate.key in numbers}
    values = {key: float(tensor) for key, tensor in tensors.items() if tensor is not None}
    return msgspec.structs.replace(
        load,
        equal_at_start=tuple(fate.key for fate, bits in fates if bits == fate.before),
        reinitialised=tuple(fate.key for fate in reset),
        reinitialised_bytes=sum(fate.nbytes for fate in reset),
        reinitialised_at=reset[0].initialised_at if reset else None,
        numbers=at_start(load.numbers, values),
    )


def _numbers(own: Mapping[str, Tensor]) -> dict[str, float]:
    """Return the values of the floating single-element tensors, the first so many."""
    single = [
        (key, tensor)
        for key, tensor in own.items()
        if tensor.is_floating_point() and not tensor.is_meta and tensor.numel() == 1
    ]
    return {key: float(tensor) for key, tensor in single[:MOST_NUMBERS]}


def _is_sharded(module: nn.Module) -> bool:
    return any(
        kind.__name__ in SHARDED for child in module.modules() for kind in type(child).__mro__
    )
