"""An unmodified program under observation, in this process."""

import os
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import NoReturn

import psutil

from stepscope.adapters.children import Children
from stepscope.adapters.elsewhere import Elsewhere
from stepscope.adapters.leaving import Exit, RecordingEnded, end_children, leave_at_once
from stepscope.adapters.own_words import show_traceback
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.target import Target
from stepscope.adapters.waiting import Waiting
from stepscope.adapters.ways_out import WaysOut
from stepscope.core import Place, Recording
from stepscope.evidence.environment import Beginning, Ending, Run
from stepscope.evidence.freezing import Freezes, joined
from stepscope.evidence.intent import Intent
from stepscope.evidence.kinds import every_kind
from stepscope.evidence.parameters import Parameters
from stepscope.probes.observation import Observation
from stepscope.probes.source_lines import LIBRARY, PROGRAM, kind_of, place_of
from stepscope.session import every_probe

BUSY_S = 1.0  # of processor time: a child that did more than answer a question


@dataclass(frozen=True, slots=True)
class Checked:
    """What the observation of a program gave."""

    recordings: tuple[Recording, ...]  # one for each rank, the first rank first
    notes: tuple[str, ...] = ()  # what the user should know of the observation itself
    reports: bool = True  # False on the other ranks of a distributed run


def check(
    target: Target,
    *,
    steps: int,
    timeout_s: float | None,
    intent: Intent,
    conclude: Callable[[Checked], int],
) -> int:
    """Run a program until it has taken `steps` optimizer steps, and hand over what was seen.

    `conclude` is called once and says the exit code, which is returned; where the program cannot
    be left in any other way, this process ends with it then and there.

    Raises:
        TargetError: the program cannot be started. Nothing has run then.
    """
    program = target.prepared()
    main = sys.modules["__main__"]
    checking = Checking(
        str(target), steps=steps, timeout_s=timeout_s, intent=intent, conclude=conclude
    )
    checking.begin()
    ended: BaseException | None = None
    try:
        try:
            program()
        finally:
            checking.wait_no_more()
    except BaseException as error:  # noqa: BLE001 - whatever the program raises is its own
        ended = error
    checking.over(ended)
    if checking.ending is Ending.RAISED and ended is not None:
        show_traceback(ended)
    del ended
    sys.modules["__main__"] = main  # lets go of the program's globals, loaders among them
    return conclude(checking.checked())


class Checking:
    """Observes what runs from `begin` to `over`, of which `checked` then tells.

    After so many steps `RecordingEnded` is raised in the program; `recorded` is called before.
    Where the program lets nothing out, or leaves its process on the spot, this process ends with
    the exit code that `conclude` says.
    """

    def __init__(
        self,
        program: str,
        *,
        steps: int,
        timeout_s: float | None,
        intent: Intent,
        conclude: Callable[[Checked], int],
        recorded: Callable[[], None] = lambda: None,
        only_training: bool = False,
    ) -> None:
        """With `only_training`, a program that takes no step may leave its process as it likes."""
        self.ending = Ending.FINISHED
        self._program = program
        self._intent = intent
        self._conclude = conclude
        self._tell_recorded = recorded
        self._only_training = only_training
        self._ranks = Ranks.of_environment()
        self._exit = Exit(self._give_up)
        self._observation = Observation(every_probe(), steps=steps, completed=self._recorded)
        self._ways_out = WaysOut(self._left)
        self._spawned = Children(steps)
        self._waiting = Waiting(
            timeout_s, lambda: self._observation.run.step, self._spawned.are_seen, self._give_up
        )
        self._elsewhere = Elsewhere()
        self._children = {child.pid for child in psutil.Process().children(recursive=True)}
        self._children_took_s = _children_took_s()
        self._began = time.perf_counter()
        self._is_complete = False  # all steps are recorded, and their evidence is gathered
        self._error = ""
        self._error_at: Place | None = None

    def begin(self) -> None:
        """Observe from here on."""
        # Between two calls of the program there is one of ours: what it may nest stays the same.
        sys.setrecursionlimit(2 * sys.getrecursionlimit())
        self._waiting.begin()
        self._spawned.watch()
        self._elsewhere.watch()
        self._ways_out.watch()
        self._observation.__enter__()
        self._observation.run.on_end(self._waiting.pause)

    @property
    def has_trained(self) -> bool:
        """Steps were taken, or processes started that may take some."""
        return bool(self._observation.run.step or self._elsewhere.where or self._spawned)

    def wait_no_more(self) -> None:
        """Interrupt the program no more: it has come to its end."""
        self._waiting.end()

    def over(self, ended_by: BaseException | None) -> None:
        """Take all hooks away: the program has come to its end, or is left by an exception."""
        self._over()
        self._observation.close()
        if isinstance(ended_by, RecordingEnded):
            self.ending = self._why_ended()
        elif isinstance(ended_by, SystemExit):
            if ended_by.code not in (None, 0):
                self._error = f"SystemExit: {ended_by.code}"
        elif ended_by is not None:
            self.ending = Ending.RAISED
            self._error = "".join(traceback.format_exception_only(ended_by)).strip()
            self._error_at = _deepest_line(ended_by.__traceback__)
        if self._waiting.at and not self._is_complete:
            self.ending = Ending.TIMED_OUT

    def _recorded(self) -> NoReturn:
        self._is_complete = True
        self._tell_recorded()
        self._waiting.resume()  # the program may swallow the end, and go on for ever
        self._exit.now()

    def _why_ended(self) -> Ending:
        late = self._waiting.at and not self._is_complete
        return Ending.TIMED_OUT if late else Ending.RECORDED

    def forget(self) -> None:
        """Drop what was seen of a program that has not trained."""
        self._spawned.recordings(())

    def checked(self) -> Checked:
        """Say what was seen, after waiting for the other processes of the run."""
        spawned = self._spawned.recordings(every_kind())
        left = end_children(self._children)
        notes = tuple(f"ended a process that the program left: {line}" for line in left)
        seen = Recording(self._run(), Beginning(), *self._observation.evidence)
        own = self._judged_by_intent(seen)
        if spawned:
            taken = max(run.steps for each in spawned if (run := each.get(Run)))
            if taken >= self._observation.run.step:
                judged = tuple(self._judged_by_intent(each) for each in spawned)
                return Checked(judged, notes + self._own_steps_left_out())
            notes += (_children_left_out(len(spawned), taken),)
        elif not self._observation.run.step and (note := self._busy_children()):
            notes += (note,)
        if self._ranks.world_size == 1:
            return Checked((own,), notes)
        if self._ranks.rank > 0:
            self._ranks.hand_over(own)
            return Checked((own,), notes, reports=False)
        recordings, missing = self._ranks.gather(own, every_kind())
        return Checked(recordings, notes + missing)

    def _judged_by_intent(self, recording: Recording) -> Recording:
        """Add what was declared: by the user, and by the program where it freezes through us."""
        freezes, parameters = recording.get(Freezes), recording.get(Parameters)
        recording.add(joined(self._intent, freezes, parameters))
        return recording

    def _run(self) -> Run:
        run = self._observation.run
        return Run(
            program=self._program,
            steps=run.step,
            asked=run.steps_asked,
            ending=self.ending,
            error=self._error,
            error_at=self._error_at or self._waiting.at,
            compiled=run.compiled,
            rank=self._ranks.rank,
            world_size=self._ranks.world_size,
            wall_s=time.perf_counter() - self._began,
            faults=tuple(run.faults),
            elsewhere=self._elsewhere.where,
        )

    def _own_steps_left_out(self) -> tuple[str, ...]:
        steps = self._observation.run.step
        if not steps:
            return ()
        return (f"not judged: {_steps(steps)} of the process that started the others",)

    def _busy_children(self) -> str:
        took_s = _children_took_s() - self._children_took_s
        if took_s < BUSY_S:
            return ""
        return (
            f"programs that it started took {took_s:.0f} s of processor time, and are not observed"
        )

    def _over(self) -> None:
        self._waiting.end()
        self._exit.over()
        self._elsewhere.over()
        self._ways_out.over()

    def _give_up(self) -> NoReturn:
        """Report from inside a program that does not let go, and end the process with it."""
        self.ending = self._why_ended()
        self._end()

    def _left(self, error: str, _code: int | None) -> None:
        """Report for a program that leaves its process on the spot."""
        if self._only_training and not self.has_trained:
            self._over()
            self._observation.close()
            self.forget()
            return
        self._error = error
        self._end()

    def _end(self) -> NoReturn:
        self._over()
        self._observation.close()
        leave_at_once(self._conclude(self.checked()))


def _children_left_out(number: int, taken: int) -> str:
    what = "1 process that it started" if number == 1 else f"{number} processes that it started"
    return f"not judged: {what}, with {_steps(taken)}{'' if number == 1 else ' at most'}"


def _steps(number: int) -> str:
    return f"{number} optimizer step{'' if number == 1 else 's'}"


def _children_took_s() -> float:
    """Return the processor time of the children that have ended and were waited for."""
    times = os.times()
    return times.children_user + times.children_system


def _deepest_line(trace: TracebackType | None) -> Place | None:
    """Return the innermost line of the program's own files, or else of a library."""
    deepest: Place | None = None
    best = 0
    while trace is not None:
        kind = kind_of(trace.tb_frame.f_code)
        if kind >= max(best, LIBRARY):
            best = min(kind, PROGRAM)
            deepest = place_of(trace.tb_frame.f_code, trace.tb_lineno)
        trace = trace.tb_next
    return deepest
