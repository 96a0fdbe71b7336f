"""What the probe asks of a trial that proves a candidate on a copy of a module."""

from typing import Any, Protocol

from torch import nn

from stepscope.evidence.gradient_paths import Proof
from stepscope.probes.gradient_paths.cuts import Owner
from stepscope.probes.live_run import LiveRun


class Prover(Protocol):
    """Runs modules again, on copies, once they were called in a recorded step."""

    def ask(self, module: nn.Module, name: str) -> None:
        """Have this module's derivative taken at its next call that a backward follows."""

    def module_called(self, module: nn.Module, args: Any, kwargs: Any) -> None:
        """Before its forward."""

    def module_returned(self, module: nn.Module, output: Any) -> None:
        """After its forward."""

    def backward_returned(self) -> None:
        """The gradients of the outputs are there."""

    def step_returned(self) -> None:
        """An optimizer has stepped."""

    def answer(self, name: str) -> Proof | str:
        """Return the proof, or the reason why there is none."""


class Asked:
    """Which module was asked about for each candidate, at most a few in all."""

    MOST = 3  # modules run again in one recording

    def __init__(self, run: LiveRun, prover: Prover | None) -> None:
        self._run = run
        self._prover = prover
        self._names: dict[object, str] = {}
        self._reasons: dict[object, str] = {}

    def ask(self, candidate: object, around: Owner) -> None:
        """Ask for a proof of this candidate, once."""
        if candidate in self._names or candidate in self._reasons or self._prover is None:
            return
        module = around() if around is not None else None
        if module is None:
            self._reasons[candidate] = "the value comes back outside any one module's forward"
            return
        name = self._run.names.module(module)
        known = set(self._names.values())
        if name not in known and len(known) >= self.MOST:
            self._reasons[candidate] = f"{self.MOST} other modules were run again already"
            return
        self._names[candidate] = name
        if name not in known:
            self._prover.ask(module, name)

    def answer(self, candidate: object) -> tuple[Proof | None, str]:
        """Return the proof, or None and the reason."""
        if self._prover is None or candidate not in self._names:
            return None, self._reasons.get(candidate, "no derivative was taken")
        answer = self._prover.answer(self._names[candidate])
        return (None, answer) if isinstance(answer, str) else (answer, "")
