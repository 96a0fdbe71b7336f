"""Training processes that the program starts itself are observed too, one recording each.

`torch.multiprocessing.spawn(train, nprocs=2)` trains in children, where the hooks of this process
do not reach. Workers of data loaders and pools are daemons or not the program's: left alone.
"""

import functools
import inspect
import os
import sys
import tempfile
from collections.abc import Callable, Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType
from typing import Any

from stepscope.core import Evidence, Recording
from stepscope.probes.source_lines import PROGRAM, kind_of

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
        from stepscope.adapters.leaving import Exit, RecordingEnded
        from stepscope.evidence.environment import Ending, Run
        from stepscope.probes.observation import Observation
        from stepscope.session import every_probe

        leaving = Exit(lambda: os._exit(0))
        observation = Observation(every_probe(), steps=self._steps, completed=leaving.now)
        ending, error, result = Ending.FINISHED, "", None
        try:
            with observation:
                result = self._target(*args, **kwargs)
        except RecordingEnded:
            ending = Ending.RECORDED
        except BaseException as raised:
            ending, error = Ending.RAISED, f"{type(raised).__name__}: {raised}"
            raise
        finally:
            leaving.over()
            if observation.run.step:
                run = Run(
                    program=sys.argv[0],
                    steps=observation.run.step,
                    asked=self._steps,
                    ending=ending,
                    error=error,
                    compiled=observation.run.compiled,
                    rank=int(os.environ.get("RANK", self._number)),
                    faults=tuple(observation.run.faults),
                )
                data = Recording(run, *observation.evidence).to_json()
                draft = Path(self._folder, f"{self._number}.part")
                draft.write_bytes(data)
                draft.rename(draft.with_suffix(".json"))
        return result


class Children:
    """Puts the processes that the program starts under observation."""

    def __init__(self, steps: int) -> None:
        self._steps = steps
        self._folder = tempfile.TemporaryDirectory(prefix="stepscope-")
        self._number = 0
        self._start = BaseProcess.start

    def watch(self) -> None:
        """Observe every training process that is started from now on."""
        start, children = self._start, self

        def observed(process: BaseProcess) -> None:
            target: Callable[..., Any] | None = vars(process).get("_target")
            if target and not process.daemon and _may_train(target):
                wrapped = Observed(target, children._folder.name, children._number, children._steps)
                vars(process)["_target"] = wrapped
                children._number += 1
            start(process)

        BaseProcess.start = observed  # type: ignore[assignment, method-assign]

    def are_seen(self) -> bool:
        """Tell whether all of them, and at least one, have handed their recordings over."""
        return 0 < self._number == len(tuple(Path(self._folder.name).glob("*.json")))

    def recordings(self, kinds: Iterable[type[Evidence]]) -> tuple[Recording, ...]:
        """Stop watching, and return what the processes recorded, in the order of their start."""
        BaseProcess.start = self._start  # type: ignore[method-assign]
        files = sorted(Path(self._folder.name).glob("*.json"), key=lambda path: int(path.stem))
        kinds = tuple(kinds)
        found = tuple(Recording.from_json(path.read_bytes(), kinds) for path in files)
        self._folder.cleanup()
        return found


def _may_train(target: Callable[..., Any]) -> bool:
    """Tell a function of the program, or torch's own launcher, from the workers of libraries."""
    while isinstance(target, functools.partial):
        target = target.func
    if target.__module__ == SPAWN:
        return True
    target = inspect.unwrap(target)
    function = target if inspect.isroutine(target) else type(target).__call__
    code: CodeType | None = getattr(function, "__code__", None)  # built-in functions have none
    return code is not None and kind_of(code) == PROGRAM
