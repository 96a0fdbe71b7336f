"""Whether a forward of an evaluation changes what it evaluates."""

import time
import weakref
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from stepscope.core import Place
from stepscope.evidence.course.evaluation_changes import EvaluationCompared
from stepscope.probes.course.arrivals import Arrivals
from stepscope.probes.course.notes import Notes
from stepscope.probes.fingerprints import digests, readable
from stepscope.probes.live_run import LiveRun
from stepscope.probes.modules import keeps_statistics

SHARE = 0.003  # of the time of the run, for the digests of all evaluations but the first
STATISTICS = ("running_mean", "running_var")


@dataclass(slots=True)
class _Compared:
    """What a module held before its first forward. The digests stay on their device."""

    tensors: list[tuple[weakref.ref[Tensor], bool]]  # True: a trained parameter
    digests: list[Tensor]
    at: Place
    changed: list[Tensor] = field(default_factory=list)  # truths; empty until the second forward


class EvaluatedState:
    """Compares bits of trained parameters and running statistics between two forwards.

    Not before and after an evaluation: averaged weights are often swapped in and out around it.
    Both readings cost a pass over the memory of the model, and wait for nothing.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        self._run, self._notes = run, notes
        self._arrivals = Arrivals()
        self._compared: _Compared | None = None
        self._spent_s = 0.0

    def remember(self, module: torch.nn.Module, at: Place) -> bool:
        """Read a module before its first forward, where that can be afforded."""
        self._compared = None
        if self._spent_s > SHARE * self._notes.seconds:
            return False
        began = time.perf_counter()
        held = self._run.held
        tensors: list[tuple[Tensor, bool]] = [
            (each, True) for each in module.parameters() if id(each) in held
        ]
        for part in module.modules():
            if isinstance(part, DistributedDataParallel) and part.broadcast_buffers:
                break  # its first forward puts those of the first rank in place
            if keeps_statistics(part):
                buffers = dict(part.named_buffers(recurse=False))
                tensors += [(buffers[name], False) for name in STATISTICS if name in buffers]
        plain = [(tensor, is_own) for tensor, is_own in tensors if readable(tensor) is not None]
        self._compared = _Compared(
            [(weakref.ref(tensor), is_own) for tensor, is_own in plain],
            _digests([tensor for tensor, _ in plain]),
            at,
        )
        self._spent_s += time.perf_counter() - began
        return True

    def compare(self) -> None:
        """Read it again, before its second forward."""
        compared = self._compared
        assert compared is not None, "asked only of a module that was read"
        began = time.perf_counter()
        alive = [reference() for reference, _ in compared.tensors]
        present = [each for each in alive if each is not None and readable(each) is not None]
        after = _digests(present)
        if len(present) < len(alive) or any(
            new.device != old.device for new, old in zip(after, compared.digests, strict=True)
        ):
            self._compared = None  # replaced, or moved to another device
        else:
            compared.changed = [
                new != old for new, old in zip(after, compared.digests, strict=True)
            ]
        self._spent_s += time.perf_counter() - began

    def forget(self) -> None:
        """It was no evaluation."""
        self._compared = None

    def tell(self) -> None:
        """It was an evaluation: note what changed, once devices have answered."""
        compared, self._compared = self._compared, None
        if compared is None or not compared.changed:
            return
        evaluated = self._run.step

        def then(changed: list[float]) -> None:
            moved = [
                (self._name(reference), is_own)
                for (reference, is_own), flag in zip(compared.tensors, changed, strict=True)
                if flag
            ]
            parameters = [name for name, is_own in moved if is_own]
            statistics = [name for name, is_own in moved if not is_own]
            self._notes.happen(
                EvaluationCompared(
                    parameters=len(parameters),
                    first_parameter=next(iter(parameters), ""),
                    statistics=len(statistics),
                    first_statistics=next(iter(statistics), ""),
                    compared=len(compared.tensors),
                    evaluated=evaluated,
                    at=compared.at,
                )
            )

        self._arrivals.ask(compared.changed, then)

    def hand_on(self, *, wait: bool = False) -> None:
        """Tell of what devices have answered."""
        if self._arrivals.is_waiting:
            self._arrivals.hand_on(wait=wait)

    def _name(self, reference: weakref.ref[Tensor]) -> str:
        tensor = reference()
        return "" if tensor is None else self._run.names.tensor(tensor)


def _digests(tensors: list[Tensor]) -> list[Tensor]:
    return digests([plain for each in tensors if (plain := readable(each)) is not None])
