"""Which parts a program freezes by `stepscope.freeze`, so that the rules hold it to its word."""

import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from stepscope.core import Evidence, Place
from stepscope.evidence.freezing import Freeze, Freezes
from stepscope.freezing.frozen import Frozen
from stepscope.freezing.proof.tensors import find
from stepscope.probes.live_run import LiveRun
from stepscope.probes.probe import Probe


@dataclass(slots=True)
class _Seen:
    """One handle. A program may drop it: what it froze stays frozen."""

    handle: weakref.ref[Frozen]
    patterns: tuple[str, ...]
    parameters: list[weakref.ref[torch.Tensor]]
    modules: list[weakref.ref[nn.Module]]
    at: Place
    is_active: bool = True


class FreezesProbe(Probe):
    """Takes note of every `Frozen` that is made, and of every one that is undone."""

    def __init__(self, run: LiveRun) -> None:
        super().__init__(run)
        self._seen: list[_Seen] = []
        run.patch(Frozen, "__init__", self._around_freezing)
        run.patch(Frozen, "undo", self._around_undoing)

    def _around_freezing(self, freeze: Any) -> Any:
        def observed(handle: Frozen, *args: Any, **kwargs: Any) -> None:
            freeze(handle, *args, **kwargs)
            parameters = find(handle.model, handle.parameters, is_buffer=False)
            at = handle.at
            self._seen.append(
                _Seen(
                    handle=weakref.ref(handle),
                    patterns=handle.patterns,
                    parameters=[weakref.ref(t) for p in parameters if (t := p.tensor) is not None],
                    modules=[
                        weakref.ref(handle.model.get_submodule(name)) for name in handle.modules
                    ],
                    at=Place(file=at.file, line=at.line, function=at.function, step=self.run.step),
                )
            )

        return observed

    def _around_undoing(self, undo: Any) -> Any:
        def observed(handle: Frozen) -> None:
            undo(handle)
            for seen in self._seen:
                if seen.handle() is handle:
                    seen.is_active = False

        return observed

    def evidence(self) -> Iterator[Evidence]:
        """Yield the freezes, under the names that the recording uses."""
        if self._seen:
            yield Freezes(freezes=tuple(self._fact(seen) for seen in self._seen))

    def _fact(self, seen: _Seen) -> Freeze:
        parameters = (reference() for reference in seen.parameters)
        modules = (reference() for reference in seen.modules)
        return Freeze(
            patterns=seen.patterns,
            parameters=tuple(self.run.names.tensor(p) for p in parameters if p is not None),
            modules=tuple(self.run.names.module(m) for m in modules if m is not None),
            is_active=seen.is_active,
            at=seen.at,
        )
