"""What changes in training beside parameters, and whether checkpoints have it."""

import re
import weakref
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from stepscope.evidence.course.saves import LeftOut
from stepscope.probes.checkpoints.files_tried import storage_key
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.saved_content import SavedContent, endings
from stepscope.probes.fingerprints import digests, readable
from stepscope.probes.live_run import LiveRun

STATE = re.compile(
    r"(^|_)(queue|bank|memory|memories|ptr|pointer|prototypes?|cent(er|roid)s?|cursor|filled"
    r"|num_updates|global_step|iteration|iter|steps?|count|counter)(_|\d|$)"
)
MOST = 256  # candidates


@dataclass(slots=True)
class _Candidate:
    """A tensor or a whole number that a module keeps from step to step."""

    owner: weakref.ref[torch.nn.Module]
    key: str
    name: str  # qualified
    what: str
    owner_id: int
    number: int = 0  # at the first step
    digest: Tensor | None = None  # at the first step, on its device; None: a number

    def now(self) -> object:
        """Return what the module holds under this name."""
        owner = self.owner()
        if owner is None:
            return None
        return owner._buffers.get(self.key, vars(owner).get(self.key))


@dataclass(frozen=True, slots=True)
class _Read:
    """What a candidate was when something was saved."""

    of: _Candidate
    changed: Tensor | bool  # since the first step; a truth on its device
    storage: int = 0

    def is_in(self, content: SavedContent, names: set[str]) -> bool:
        """Tell whether it was saved, by what it is or by its name."""
        return (
            self.storage in content.storages
            or self.of.owner_id in content.modules
            or not names.isdisjoint((self.of.name, self.of.key))
        )


class UnsavedState:
    """Follows queues, pointers and counters from the first step to each checkpoint to resume from.

    They are told by their names. What a checkpoint has is told by identity or by name.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        self._run, self._notes = run, notes
        self._arrivals = Arrivals()
        self._candidates: list[_Candidate] | None = None
        self._read: list[_Read] = []  # since the last step

    def begin(self) -> None:
        """Read what there is at the first step."""
        if self._candidates is not None:
            return
        found = [each for root in self._run.names.roots() for each in self._within(root)]
        self._candidates = found[:MOST]
        for each in self._candidates:
            each.digest = _digest(each.now())

    def read(self) -> None:
        """Read it again when something is saved, the first time since the last step."""
        for each in self._candidates or () if not self._read else ():
            now = each.now()
            if isinstance(now, int) and each.digest is None:
                self._read.append(_Read(each, now != each.number))
            elif isinstance(now, Tensor) and each.digest is not None:
                digest = _digest(now)
                if digest is not None and digest.device == each.digest.device:
                    self._read.append(_Read(each, digest != each.digest, storage_key(now)))

    def compare(self, content: SavedContent) -> None:
        """Tell which of them have changed, and are not in what was saved since the last step."""
        read, self._read = self._read, []
        if not content.is_to_resume:
            return
        saved = {ending for key in content.keys for ending in endings(key)}
        flags = [
            each.changed if isinstance(each.changed, Tensor) else torch.tensor(each.changed)
            for each in read
        ]

        def then(changed: list[float]) -> None:
            every = [each for each, flag in zip(read, changed, strict=True) if flag]
            missing = [each.of for each in every if not each.is_in(content, saved)]
            if every:
                self._notes.happen(
                    LeftOut(
                        paths=tuple(dict.fromkeys(content.paths)),
                        names=tuple(each.name for each in missing),
                        why=tuple(each.what for each in missing),
                        compared=len(every),
                        at=content.at,
                    )
                )

        self._arrivals.ask(flags, then)

    def hand_on(self, *, wait: bool = False) -> None:
        """Tell of what devices have answered."""
        if self._arrivals.is_waiting:
            self._arrivals.hand_on(wait=wait)

    def _within(self, root: torch.nn.Module) -> Iterator[_Candidate]:
        for module in root.modules():
            if type(module).__module__.startswith("torchmetrics."):
                continue  # what they count is not meant to last
            lead = self._run.names.module(module)
            for key, value in (*module._buffers.items(), *vars(module).items()):
                if key[0] == "_" or not STATE.search(key):
                    continue
                what = "an attribute, not a buffer"
                if key in module._buffers:
                    is_kept = key not in module._non_persistent_buffers_set
                    what = "a buffer" if is_kept else "a buffer that is not persistent"
                is_number = isinstance(value, int) and not isinstance(value, bool)
                if is_number or (isinstance(value, Tensor) and not value.requires_grad):
                    name = f"{lead}.{key}" if lead else key
                    number = int(value) if is_number else 0
                    yield _Candidate(weakref.ref(module), key, name, what, id(module), number)


def _digest(value: object) -> Tensor | None:
    plain = readable(value) if isinstance(value, Tensor) else None
    return digests([plain])[0] if plain is not None else None
