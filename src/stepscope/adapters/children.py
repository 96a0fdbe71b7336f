"""Training processes that the program starts itself are observed too, one recording each.

`torch.multiprocessing.spawn(train, nprocs=2)` trains in children, where the hooks of this process
do not reach. Workers of data loaders and pools are daemons or not the program's: left alone.
"""

import functools
import inspect
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType
from typing import TYPE_CHECKING, Any, NoReturn

from stepscope.core import Evidence, Recording
from stepscope.probes.putting_back import put_back
from stepscope.probes.source_lines import PROGRAM, kind_of

if TYPE_CHECKING:  # not before the program has loaded torch in its own way
    from stepscope.evidence.environment import Ending
    from stepscope.probes.observation import Observation

SPAWN = "torch.multiprocessing.spawn"


class Observed:
    """The target of a process, observed in that process. Can be pickled if the target can."""

    def __init__(self, target: Callable[..., Any], folder: str, number: int, steps: int) -> None:
        self._target = target
        self._folder = folder
        self._number = number
        self._steps = steps

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the target; write a recording if it took any optimizer step."""
        from stepscope.adapters.leaving import Exit, RecordingEnded, leave_at_once
        from stepscope.evidence.environment import Ending
        from stepscope.probes.observation import Observation
        from stepscope.session import every_probe

        def give_up() -> NoReturn:
            self._hand_over(observation, Ending.RECORDED)
            leave_at_once(0)

        self._began = time.perf_counter()
        leaving = Exit(give_up)
        observation = Observation(every_probe(), steps=self._steps, completed=leaving.now)
        ending, error, result = Ending.FINISHED, "", None
        try:
            with observation:
                result = self._target(*args, **kwargs)
        except RecordingEnded:
            ending = Ending.RECORDED
        except SystemExit as left:
            if left.code not in (None, 0):
                error = f"SystemExit: {left.code}"
            raise
        except BaseException as raised:
            ending, error = Ending.RAISED, f"{type(raised).__name__}: {raised}"
            raise
        finally:
            leaving.over()
            self._hand_over(observation, ending, error)
        return result

    def _hand_over(self, observation: "Observation", ending: "Ending", error: str = "") -> None:
        """Write the recording, if there is any, where the process that reports finds it."""
        from stepscope.evidence.environment import Beginning, Run

        if not observation.run.step:
            return
        run = Run(
            program=sys.argv[0],
            steps=observation.run.step,
            asked=self._steps,
            ending=ending,
            error=error,
            compiled=observation.run.compiled,
            rank=int(os.environ.get("RANK", self._number)),
            wall_s=time.perf_counter() - self._began,
            faults=tuple(observation.run.faults),
        )
        draft = Path(self._folder, f"{self._number}.part")
        draft.write_bytes(Recording(run, Beginning(), *observation.evidence).to_json())
        draft.rename(draft.with_suffix(".json"))


class Children:
    """Puts the processes that the program starts under observation."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._folder = tempfile.TemporaryDirectory(prefix="stepscope-")
        self._number = 0
        self._start = BaseProcess.start
        self._is_over = False

    def __bool__(self) -> bool:
        """Tell whether any was started."""
        return self._number > 0

    def watch(self) -> None:
        """Observe every training process that is started from now on."""
        start, children = self._start, self

        def observed(process: BaseProcess) -> None:
            target: Callable[..., Any] | None = vars(process).get("_target")
            ours = not children._is_over and not process.daemon
            if target and ours and may_train(target):
                wrapped = Observed(target, children._folder.name, children._number, children._steps)
                vars(process)["_target"] = wrapped
                children._number += 1
            start(process)

        self._observed = observed
        BaseProcess.start = observed  # type: ignore[assignment, method-assign]

    def are_seen(self) -> bool:
        """Tell whether all of them, and at least one, have handed their recordings over."""
        return 0 < self._number == len(tuple(Path(self._folder.name).glob("*.json")))

    def recordings(self, kinds: Iterable[type[Evidence]]) -> tuple[Recording, ...]:
        """Stop watching, and return what the processes recorded, in the order of their start."""
        self._is_over = True
        put_back(BaseProcess, "start", self._observed, self._start)
        files = sorted(Path(self._folder.name).glob("*.json"), key=lambda path: int(path.stem))
        kinds = tuple(kinds)
        found = tuple(Recording.from_json(path.read_bytes(), kinds) for path in files)
        self._folder.cleanup()
        return found


def may_train(target: Callable[..., Any]) -> bool:
    """Tell a function of the program, or torch's own launcher, from the workers of libraries."""
    while isinstance(target, functools.partial):
        target = target.func
    if target.__module__ == SPAWN:
        return True
    target = inspect.unwrap(target)
    function = target if inspect.isroutine(target) else type(target).__call__
    code: CodeType | None = getattr(function, "__code__", None)  # built-in functions have none
    return code is not None and kind_of(code) == PROGRAM
