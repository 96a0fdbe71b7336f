"""A watch that a program puts on itself: what loops and the callbacks of frameworks share."""

import atexit
import sys
import traceback
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from stepscope.adapters.how import Settled
from stepscope.adapters.journals import FindJournals, no_journals
from stepscope.adapters.own_words import say
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.watched_run import WatchedRun
from stepscope.core.verdict import Report
from stepscope.evidence.course.epochs import EpochBegan, EpochEnded
from stepscope.evidence.course.line import Happening
from stepscope.evidence.course.plans import Planned
from stepscope.evidence.environment import Ending
from stepscope.probes.notebook import notebook
from stepscope.probes.observer import OBSERVER
from stepscope.reporters.content.summary import count, verdict
from stepscope.watching.watched import StoppedOnFinding, Watched, interrupt

METRIC = "metric"


class Attached:
    """Watches from `begin` to `end`. Afterwards `report` says what came of it.

    Under `stepscope run` it hands on what it is told, and the report is that of `stepscope run`;
    under `stepscope check` it does nothing.
    """

    def __init__(self, settled: Settled) -> None:
        self.report: Report | None = None
        self._settled = settled
        self._run: WatchedRun | None = None
        self._watched: Watched | None = None
        self._epoch: int | None = None
        self._earlier = 0

    @property
    def is_on(self) -> bool:
        """Something is watched now."""
        return self._watched is not None

    @property
    def is_sampled(self) -> bool:
        """Numbers of the present step are worth noting."""
        return self._watched is not None and self._watched.is_sampled

    @property
    def step(self) -> int:
        """Optimizer steps taken since it began."""
        watched = self._run.watched if self._run is not None else self._watched
        return 0 if watched is None else watched.step

    @property
    def stopped(self) -> bool:
        """A finding has asked for the end of the run."""
        return self._run is not None and self._run.watched.stopped

    def begin(
        self,
        models: Mapping[str, Module],
        optimizers: Iterable[Optimizer],
        *,
        stop: Callable[[int], None],
        ranks: Ranks | None = None,
        journals: FindJournals = no_journals,
        hears_of_errors: bool = True,
    ) -> None:
        """Watch what trains from here on. `journals` are asked for in the main process only.

        Without `hears_of_errors` nobody may ever call `end`: the next watch then does, or the end
        of the program.
        """
        try:
            self._begin(models, optimizers, stop, ranks, journals, hears_of_errors=hears_of_errors)
        except Exception as why:  # noqa: BLE001 - a fault of ours must not keep it from training
            self._watched = None
            say(f"the run is not watched, by a fault of stepscope: {why!r}")

    def _begin(
        self,
        models: Mapping[str, Module],
        optimizers: Iterable[Optimizer],
        stop: Callable[[int], None],
        ranks: Ranks | None,
        journals: FindJournals,
        *,
        hears_of_errors: bool,
    ) -> None:
        self.end()
        self.report = None
        self._run = None
        self._epoch = None
        self._earlier = 0
        present = OBSERVER.present
        if isinstance(present, Watched) and present.left_open is not None:
            present.left_open()
            present = None
        if present is not None:
            self._watched = present if isinstance(present, Watched) else None
            if self._watched is not None:
                self._watched.given(models, tuple(optimizers))
            return
        ranks = ranks or Ranks.of_environment()
        self._run = WatchedRun(
            _program(),
            sys.argv[1:],
            terms=self._settled.terms,
            home=self._settled.home,
            plan=self._settled.plan,
            on_error=self._settled.on_error,
            stop=stop,
            journals=journals,
            logged_step=self.logged_step,
            is_whole=False,
            ranks=ranks,
        )
        self._watched = self._run.watched
        self._watched.given(models, tuple(optimizers))
        if not hears_of_errors:
            self._watched.left_open = self.end
            atexit.register(self._leave)
        self._watched.__enter__()

    def end(self, error: BaseException | None = None) -> None:
        """Judge, and say in short what came of the run. Does nothing the second time."""
        watched, self._watched = self._watched, None
        if watched is None:
            return
        self._end_epoch(watched)
        if self._run is None:
            return
        atexit.unregister(self._leave)
        if self._run.watched.stopped and error is None:
            try:
                interrupt(watched.step)  # samplers see from it that the run has not come to its end
            except StoppedOnFinding:
                watched.close()
        watched.close()
        said = "" if error is None else "".join(traceback.format_exception_only(error)).strip()
        ending = Ending.FINISHED if error is None else Ending.RAISED
        self.report = self._run.conclude(ending, error=said)
        if self.report is not None:
            self._run.reported()
            self._say(self.report)

    def _leave(self) -> None:
        """End what the program has left open, as by an exception that nobody caught."""
        self.end(getattr(sys, "last_value", None))

    def log(self, numbers: Mapping[str, float | Tensor]) -> None:
        """Note numbers by the program's own names, at the present step."""
        if self._watched is not None:
            for name, value in numbers.items():
                self._watched.note(METRIC, name, value)

    def epoch(self, number: int, planned: int | None = None) -> None:
        """Note that an epoch begins, and that the one before is over."""
        if self._watched is not None:
            self._end_epoch(self._watched)
            self._epoch = number
            self.happen(EpochBegan(number=number, planned=planned))

    def epoch_ended(self) -> None:
        """Note that the epoch is over, with all that is measured at its end."""
        if self._watched is not None:
            self._end_epoch(self._watched)

    def plan(self, steps: int, accumulation: int, source: str) -> None:
        """Note how many optimizer steps this run is to take."""
        self.happen(Planned(steps=steps, accumulation=accumulation, source=source))

    def resumed(self, steps: int = 0) -> None:
        """Note that the training began in an earlier run, which took so many optimizer steps."""
        self._earlier = steps
        if self._watched is not None:
            self._watched.resumed()

    def logged_step(self, step: int) -> int:
        """Return the step of the whole training for one of this run."""
        return self._earlier + step

    def happen(self, happening: Happening) -> None:
        """Note what hooks can only guess."""
        if self._watched is not None:
            self._watched.happen(happening)

    def failed(self, fault: str) -> None:
        """End the watching because of a fault of ours."""
        if self._watched is not None:
            self._watched.failed(fault)

    def stop(self) -> None:
        """Have the run stopped after the present step."""
        if self._watched is not None:
            self._watched.stop_run()

    def _end_epoch(self, watched: Watched) -> None:
        number, self._epoch = self._epoch, None
        if number is not None:
            watched.happen(EpochEnded(number=number))

    def _say(self, report: Report) -> None:
        assert self._run is not None, "there is a report"
        say(f"{count(report.run.steps, report.run.unit)}. {verdict(report)}")
        if self._run.folder is not None:
            say(f"the recording is in {self._run.folder.path}")
        if report.run.faults:
            say(f"{count(len(report.run.faults), 'fault')} of stepscope itself: see the report")


def _program() -> str:
    return notebook() or Path(sys.argv[0]).name or "python"
