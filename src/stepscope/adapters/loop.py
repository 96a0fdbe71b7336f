"""A plain training loop under watch."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self, Unpack

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from stepscope.adapters.attached import Attached
from stepscope.adapters.how import How, settle
from stepscope.adapters.journals import FindJournals, no_journals
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.unwrapping import models_of, optimizers_of
from stepscope.core.verdict import Report
from stepscope.watching.watched import StoppedOnFinding, interrupt


class Run:
    """What a loop can tell of itself. Nothing of it is needed."""

    def __init__(
        self,
        models: Mapping[str, Module],
        optimizers: tuple[Optimizer, ...],
        how: How,
        *,
        ranks: Ranks | None = None,
        journals: FindJournals = no_journals,
    ) -> None:
        self._attached = Attached(settle(**how))
        self._models, self._optimizers = models, optimizers
        self._ranks, self._journals = ranks, journals
        self.stopped = False  # by a finding: what came after its step in the loop did not run

    @property
    def report(self) -> Report | None:
        """What came of the run. None while it goes, and under `stepscope run`, which reports."""
        return self._attached.report

    @property
    def step(self) -> int:
        """Optimizer steps that were taken."""
        return self._attached.step

    def log(
        self, numbers: Mapping[str, float | Tensor] | None = None, /, **named: float | Tensor
    ) -> None:
        """Note numbers by name: `run.log(acc=0.9)`, `run.log({"val/acc": 0.9})`.

        Raises:
            TypeError: a value is no number.
        """
        values = {**(numbers or {}), **named}
        self._attached.log({name: _number(name, value) for name, value in values.items()})

    def epoch(self, number: int, *, planned: int | None = None) -> None:
        """Say that an epoch begins, counted from 0, of so many in all."""
        self._attached.epoch(number, planned)

    def plan(self, *, steps: int, accumulation: int = 1) -> None:
        """Say how many optimizer steps the run is to take, of so many backward calls each."""
        self._attached.plan(steps, accumulation, "run.plan")

    def resumed(self) -> None:
        """Say that this run goes on with an earlier one. A state in the optimizer says it too."""
        self._attached.resumed()

    def stop(self) -> None:
        """Have the loop left after the present optimizer step."""
        self._attached.stop()

    def __enter__(self) -> Self:
        self._attached.begin(
            self._models,
            self._optimizers,
            stop=interrupt,
            ranks=self._ranks,
            journals=self._journals,
        )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        """Judge. A stop by a finding ends here; what else was raised goes on."""
        del kind, trace
        self.stopped = self._attached.stopped
        ours = isinstance(error, StoppedOnFinding) and self.stopped
        self._attached.end(None if ours else error)
        return ours


def watch(model: Module | Mapping[str, Module], *optimizers: Optimizer, **how: Unpack[How]) -> Run:
    """Watch a training loop: findings are said when they become true, a verdict at the end.

    ```python
    with stepscope.watch(model, optimizer, on_error="stop") as run:
        for epoch in range(10):
            run.epoch(epoch, planned=10)
            ...
            run.log(acc=accuracy)
    print(run.report.verdict)
    ```

    `model` gives its parameters their names; of several, {"generator": g, "critic": c}, the names
    lead. Optimizers that are not handed over are seen when they step. The keywords are those of
    `How`; nothing that the loop computes is changed.

    Raises:
        ValueError: a keyword or stepscope.toml holds what stepscope does not know.
        TypeError: the model is no module, or an optimizer none.
    """
    return Run(models_of(model), optimizers_of(optimizers), how)


def _number(name: str, value: object) -> float | Tensor:
    if isinstance(value, Tensor) and value.numel() == 1:
        return value  # read later, so that nothing waits for a device
    if isinstance(value, Tensor) or not hasattr(value, "__float__"):
        shape = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else ""
        raise TypeError(
            f"run.log({name}=...) was given {shape or repr(value)}; expected one number"
        )
    number: float = value.__float__()
    return number
