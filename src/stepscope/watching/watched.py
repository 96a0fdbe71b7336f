"""A run under watch, from its first step to its last."""

import contextlib
import os
import time
import traceback
import weakref
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, Self

import msgspec
from torch import Tensor
from torch.nn import Module
from torch.optim import Optimizer

from stepscope.core import Evidence, Finding, Recording, Rule, Severity
from stepscope.core.report import Outcome
from stepscope.evidence.checkpoints import Checkpoints
from stepscope.evidence.course.course import Course
from stepscope.evidence.course.line import Happening, Line
from stepscope.evidence.course.progress import Progress
from stepscope.evidence.environment import Beginning, Ending, Run
from stepscope.evidence.freezing import Freezes, joined
from stepscope.evidence.intent import Intent
from stepscope.evidence.kinds import every_kind
from stepscope.evidence.parameters import Parameters
from stepscope.probes.course.pulse import Pulse
from stepscope.probes.live_run import LiveRun
from stepscope.probes.observation import Observation
from stepscope.probes.observer import OBSERVER
from stepscope.session import every_probe, every_sampler
from stepscope.watching.judging import Judging
from stepscope.watching.verdicts import News, Verdicts, is_of_windows, is_over_time
from stepscope.watching.windows import Windows


class StoppedOnFinding(KeyboardInterrupt):
    """Raised at the end of an optimizer step where a finding stops the run.

    Frameworks take a `KeyboardInterrupt` as the wish to end in order.
    """


def interrupt(step: int) -> None:
    """Stop a program of which no more is known than that it trains."""
    raise StoppedOnFinding(f"stepscope: an error was found by step {step}")


class Keeper(Protocol):
    """Keeps what becomes known of a run: a recording on disk, or nothing."""

    def line(self, line: Line) -> None:
        """Keep a line of the course."""

    def window(self, step: int, recording: Recording) -> None:
        """Keep what a window has shown, that opened before this step."""

    def finding(self, step: int, code: str, severity: Severity, finding: Finding) -> None:
        """Keep a finding that has become true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How closely to look."""

    steps: int = 3  # of each window
    at: tuple[int, ...] = ()  # steps before which a window opens, besides the start
    every: int | None = None  # sampled steps; None: as often as can be afforded


class Watched:
    """Watches what trains in this process. A context manager.

    `told` is called with each finding when it becomes true, and may call `stop_run`: then `stop` is
    called after each step, from inside of the program. `is_whole` where the program is watched from
    its first line, and not only its training. `beside` gives what other processes of the run tell,
    by what is known of this one, and `heeds` is asked after each step whether they want the run to
    stop there. A fault of ours ends the watching, never the run; it is kept in `faults`, and `said`
    is told at once.
    """

    def __init__(
        self,
        program: str,
        *,
        rules: Sequence[Rule],
        options: dict[str, dict[str, object]] | None = None,
        intent: Intent | None = None,
        plan: Plan | None = None,
        keeper: Keeper | None = None,
        told: Callable[[News], None] = lambda _: None,
        stop: Callable[[int], None] = interrupt,
        said: Callable[[str], None] = lambda _: None,
        is_whole: bool = True,
        beside: Callable[[Recording], Iterable[Evidence]] = lambda _: (),
        heeds: Callable[[int], bool] = lambda _: False,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.program = program
        self.faults: list[str] = []
        self.stopped = False  # by `stop_run`
        self.left_open: Callable[[], None] | None = None  # ends it, where nobody else may do so
        self.windows_judged = 0
        self.seen = Recording()  # what windows have shown, the last of each kind
        self._plan = plan or Plan()
        self._intent = intent or Intent()
        self._keeper = keeper
        self._told = told
        self._stop = stop
        self._is_whole = is_whole
        self._beside, self._heeds = beside, heeds
        self._is_over = self._has_failed = False
        self._said = said
        self._models: dict[str, weakref.ref[Module]] = {}
        self._has_trained_before = False
        self._rank, self._world_size = rank, world_size
        self._verdicts = Verdicts(rules, options)
        self._over_time = tuple(rule for rule in rules if is_over_time(rule))
        self._of_windows = tuple(rule for rule in rules if is_of_windows(rule))
        self._course = Course(every_kind())
        self._windows = Windows(self._plan.at)
        self._window: Observation | None = None
        self._window_step = 0
        self._window_began = 0.0
        self._judging = Judging(self._over_time)
        self._process = os.getpid()
        self._pulse = Pulse(
            every_sampler(),
            line=self._line,
            every=self._plan.every,
            stepped=self._stepped,
            compiled=self._give_up_window,
            window=lambda: self._window,
            heard=self._heard,
            weary=self._give_up_window,
        )
        self._pulse.run.is_whole = is_whole

    @property
    def step(self) -> int:
        """Optimizer steps taken so far."""
        return self._pulse.run.step

    @property
    def compiled(self) -> bool:
        """`torch.compile` was used: no window could open, as it would have had to run eagerly."""
        return self._pulse.run.compiled

    @property
    def is_sampled(self) -> bool:
        """Numbers of the present step are worth noting."""
        return self._pulse.notes.is_sampled

    @property
    def writers(self) -> Iterable[Any]:
        """The `SummaryWriter`s that the program has logged to."""
        return tuple(self._pulse.run.writers)

    def given(self, models: Mapping[str, Module], optimizers: Collection[Optimizer]) -> None:
        """Take models by the names that lead those of their parameters, and their optimizers."""
        self._models |= {name: weakref.ref(model) for name, model in models.items()}
        for optimizer in optimizers:
            for run in self._runs():
                run.optimizer_made(optimizer)
        for run in self._runs():
            run.names.give(self._alive())
        if any(optimizer.state for optimizer in optimizers):
            self.resumed()

    def resumed(self) -> None:
        """Take note that what is watched goes on with a training, and begins none."""
        self._has_trained_before = True
        if self._window is not None:
            self._window.is_beginning = False

    def placed(self, rank: int, world_size: int) -> None:
        """Take note of which rank this is, where that was not known before."""
        self._rank, self._world_size = rank, world_size

    def __enter__(self) -> Self:
        OBSERVER.present = self
        self._pulse.__enter__()
        with self._guard():
            self._open_window(is_beginning=not self._has_trained_before)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Judge what there is, and take all hooks away. Does nothing the second time."""
        if os.getpid() != self._process:  # a forked child that goes the way of its parent
            return
        self._is_over = True
        if OBSERVER.present is self:
            OBSERVER.present = None
        with self._guard():
            self._close_window()
        self._pulse.close()
        with self._guard():
            self._judge_course()
        self.faults += self._pulse.run.faults
        self._pulse.run.faults.clear()

    def stop_run(self) -> None:
        """Have the run stopped after this step; one that is over already was not stopped."""
        self.stopped = self.stopped or not self._is_over

    def judge_again(self) -> None:
        """Judge the whole of the run once more: other processes have told more of it."""
        with self._guard():
            self._judge_course()

    def outcomes(self) -> tuple[Outcome, ...]:
        """Return one outcome for each rule, over the whole run."""
        return self._verdicts.outcomes()

    def note(self, subject: str, name: str, value: float | Tensor) -> None:
        """Note a number of the present step: what a framework has logged."""
        self._pulse.notes.number(subject, name, value)

    def happen(self, happening: Happening) -> None:
        """Note what a framework knows better than hooks: an epoch, a phase, a plan."""
        self._pulse.notes.happen(happening)

    def run_facts(
        self, ending: Ending = Ending.RECORDED, *, error: str = "", elsewhere: str = ""
    ) -> Run:
        """Return how far the run has come, and how it ended."""
        run = self._pulse.run
        return Run(
            program=self.program,
            steps=run.step,
            asked=run.step,
            ending=ending,
            error=error,
            elsewhere=elsewhere,
            rank=self._rank,
            world_size=self._world_size,
            wall_s=self._pulse.notes.seconds,
            faults=tuple(self.faults),
        )

    def _line(self, line: Line) -> None:
        with self._guard():
            self._course.add(line)
            self._judging.heard(line)
            if self._keeper is not None:
                self._keeper.line(line)

    def _heard(self, happening: Happening) -> None:
        """Look closely where the run takes a turn."""
        if happening.opens_window and self._windows.may_open(self._pulse.notes.seconds):
            with self._guard():
                self._open_window()

    def _stepped(self, step: int) -> None:
        if self._windows.due(step):
            with self._guard():
                if self._window is not None and self._window.is_full:
                    self._close_window()
                self._open_window()
        if rules := self._judging.due(step, self._pulse.notes.seconds):
            with self._guard():
                self._judge_course(rules)
        if self._heeds(step):
            self.stop_run()
        if self.stopped:
            self._stop(step)

    def _open_window(self, *, is_beginning: bool = False) -> None:
        if self._window is not None or self.compiled:
            return
        window = Observation(
            every_probe(),
            steps=self._plan.steps,
            completed=self._window_completed,
            is_window=True,
        )
        for optimizer in self._pulse.run.optimizers:
            window.run.optimizer_made(optimizer)
        window.run.names.give(self._alive())
        self._window_step, self._window_began = self.step, time.perf_counter()
        self._windows.opened()
        window.is_beginning = is_beginning
        self._window = window
        window.__enter__()

    def _window_completed(self) -> None:
        with self._guard():
            self._close_window()

    def _close_window(self) -> None:
        """Judge what a window has shown."""
        window, self._window = self._window, None
        if window is None:
            return
        window.close()
        self.faults += window.run.faults
        if window.run.step:
            self._judge_window(window)
        took = time.perf_counter() - self._window_began
        self._windows.closed(took - window.run.step * self._pulse.step_s)

    def _judge_window(self, window: Observation) -> None:
        # What a program reads later on, to evaluate or to average, is not what it starts from.
        evidence = window.evidence
        if not (window.is_beginning and self._is_whole):
            evidence = [each for each in evidence if not isinstance(each, Checkpoints)]
        recording = Recording(*evidence)
        facts = self.run_facts()
        recording.add(msgspec.structs.replace(facts, steps=window.run.step, asked=self._plan.steps))
        recording.add(self._declared(recording))
        recording.add(
            Progress(
                first=self._window_step,
                step=self.step,
                sampled=0,
                seconds=self._pulse.notes.seconds,
            )
        )
        if window.is_beginning:
            recording.add(Beginning())
        else:  # what is joined below is no longer of the first steps
            self.seen = Recording(*(each for each in self.seen if not isinstance(each, Beginning)))
        for item in recording:
            self.seen.add(item)
        if self._keeper is not None:
            self._keeper.window(self._window_step, recording)
        for kind in self._course.happenings:
            for told in kind.seen_in(recording):
                self._pulse.notes.happen(told)
        self.windows_judged += 1
        self._tell(self._verdicts.judge(self._of_windows, recording, self._window_step))

    def _judge_course(self, rules: Sequence[Rule] | None = None) -> None:
        began = time.perf_counter()
        recording = Recording(*self.seen, self.run_facts(), *self._course.evidence())
        recording.add(self._declared(recording))
        for item in self._beside(recording):
            recording.add(item)
        self._tell(self._verdicts.judge(rules or self._over_time, recording, self.step))
        self._judging.judged(self._pulse.notes.seconds, time.perf_counter() - began)

    def _runs(self) -> Iterator[LiveRun]:
        yield self._pulse.run
        if self._window is not None:
            yield self._window.run

    def _alive(self) -> dict[str, Module]:
        return {name: model for name, held in self._models.items() if (model := held())}

    def _declared(self, recording: Recording) -> Intent:
        return joined(self._intent, recording.get(Freezes), recording.get(Parameters))

    def _tell(self, news: Iterable[News]) -> None:
        for each in news:
            if self._keeper is not None:
                self._keeper.finding(each.step, each.rule.code, each.severity, each.finding)
            self._told(each)

    def _give_up_window(self) -> None:
        """Take its hooks away: where the program compiles, it would have to run eagerly."""
        window, self._window = self._window, None
        if window is not None:
            window.close()

    @contextlib.contextmanager
    def _guard(self) -> Iterator[None]:
        """Keep a fault of ours from the run."""
        try:
            yield
        except Exception:  # noqa: BLE001 - whatever it is, it is not the run's
            self.failed(traceback.format_exc())

    def failed(self, fault: str) -> None:
        """End the watching because of a fault of ours. What follows from the first is not kept."""
        if not self._has_failed:
            self._has_failed = True
            self.faults.append(fault)
            last = fault.strip().splitlines()[-1]
            self._said(f"a fault of stepscope ends the watching at step {self.step}: {last}")
        self._give_up_window()
        self._pulse.close()
