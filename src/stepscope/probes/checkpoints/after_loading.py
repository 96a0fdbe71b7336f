"""What became of loaded tensors until the first optimizer step."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from stepscope.core import Place
from stepscope.probes.fingerprints import fingerprints, readable
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_line

DRAWS = ("normal_", "uniform_")  # methods of tensors that initialisers without `nn.init` use


@dataclass(slots=True)
class Fate:
    """One loaded tensor: its bits around the load, and what an initialiser made of it."""

    tensor: weakref.ref[Tensor]
    key: str  # in the module that was loaded
    load: int  # which load
    before: int  # fingerprint
    after: int
    dtype: torch.dtype
    numel: int
    nbytes: int
    initialised: int | None = None  # fingerprint when an initialiser had written all of it
    initialised_at: Place = field(default_factory=Place)


class AfterLoading:
    """Follows loaded tensors weakly, and watches for initialisers that write over them."""

    def __init__(self, run: LiveRun, lookout: Lookout) -> None:
        self._lookout = lookout
        self._fates: dict[int, Fate] = {}  # by the id of the tensor object
        self._memory: dict[int, Fate] = {}  # by the address of its data: finds `.data` too
        self._inside = False
        for name in vars(nn.init):
            if name.endswith("_") and not name.startswith("_"):
                run.patch(nn.init, name, self._around_initialiser)
        for name in DRAWS:
            run.patch(Tensor, name, self._around_initialiser)

    def follow(
        self, load: int, loaded: Mapping[str, Tensor], before: Mapping[str, int]
    ) -> dict[str, int]:
        """Follow what a load has just written, and return the fingerprints by key."""
        after = bits_of(loaded)
        for key, bits in after.items():
            tensor = loaded[key]
            fate = Fate(
                weakref.ref(tensor), key, load, before.get(key, 0), bits,
                tensor.dtype, tensor.numel(), tensor.nbytes,
            )  # fmt: skip
            self._fates[id(tensor)] = self._memory[tensor.data_ptr()] = fate
        return after

    def at_start(self) -> list[tuple[Fate, int]]:
        """Return what is alive and of its loaded dtype, with its fingerprint now; forget all."""
        fates = {str(serial): fate for serial, fate in enumerate(self._fates.values())}
        alive = {
            serial: tensor for serial, f in fates.items() if (tensor := f.tensor()) is not None
        }
        now = bits_of({s: t for s, t in alive.items() if t.dtype == fates[s].dtype})
        self._fates.clear()
        self._memory.clear()
        return [(fates[serial], bits) for serial, bits in now.items()]

    def _around_initialiser(self, write: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if self._inside or not self._fates or not self._lookout.is_open():
                return write(*args, **kwargs)
            self._inside = True
            try:
                result = write(*args, **kwargs)
            finally:
                self._inside = False
            with self._lookout.looking():
                self._note(args[0] if args else kwargs.get("tensor"))
            return result

        return observed

    def _note(self, tensor: object) -> None:
        if not isinstance(tensor, Tensor):
            return
        fate = self._fates.get(id(tensor)) or self._memory.get(tensor.data_ptr())
        if fate is not None and fate.tensor() is not None and fate.numel == tensor.numel():
            fate.initialised = bits_of({"": tensor}).get("")
            fate.initialised_at = running_line(PROGRAM)


def bits_of(tensors: Mapping[str, Tensor]) -> dict[str, int]:
    """Return a fingerprint for each tensor whose bits can be read."""
    plain = {key: part for key, tensor in tensors.items() if (part := readable(tensor)) is not None}
    return dict(zip(plain, fingerprints(list(plain.values())), strict=True))
