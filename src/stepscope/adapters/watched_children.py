"""Training processes that a watched program starts itself: each is watched, as a rank of the run.

`torch.multiprocessing.spawn(train, nprocs=2)` trains in children, where the hooks of this process
do not reach. Workers of data loaders and pools are daemons or not the program's: left alone.
"""

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Literal

from stepscope.adapters.children import SPAWN, may_train
from stepscope.adapters.ranks import Ranks
from stepscope.adapters.watched_run import WatchedRun
from stepscope.evidence.environment import Ending
from stepscope.probes.putting_back import put_back
from stepscope.recordings.folder import RunFolder
from stepscope.summing_up import Terms
from stepscope.watching.watched import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildPlan:
    """How to watch a child. Can be pickled."""

    program: str
    terms: Terms
    plan: Plan
    on_error: Literal["report", "stop"]

    def joining(
        self,
        folder: RunFolder,
        program: str,
        arguments: Sequence[str],
        *,
        stop: Callable[[int], None],
    ) -> WatchedRun:
        """Begin to watch a program that joins the run as a rank, as soon as it takes a step."""
        return WatchedRun(
            program,
            arguments,
            terms=self.terms,
            home=folder.path.parent,
            plan=self.plan,
            on_error=self.on_error,
            stop=stop,
            folder=folder,
            is_late=True,
        )

    def begun(self, folder: Path, number: int) -> WatchedRun:
        """Begin to watch a child, as a rank of the run that is recorded in `folder`."""
        return WatchedRun(
            self.program,
            terms=self.terms,
            home=folder.parent,
            plan=self.plan,
            on_error=self.on_error,
            ranks=Ranks(number, 1, folder.parent),
            folder=RunFolder(folder),
        )


class WatchedTarget:
    """The target of a process, watched in that process. Can be pickled if the target can."""

    def __init__(
        self, target: Callable[..., Any], number: int, folder: Path, plan: ChildPlan
    ) -> None:
        self._target = target
        self._number = number
        self._folder = folder
        self._plan = plan

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the target, and leave what is known of it to the process that started it."""
        run = self._plan.begun(self._folder, self._number)
        noted = Noted()
        if getattr(self._target, "__module__", "") == SPAWN:  # it makes an exit of an exception
            args = noted.around(args[0]), *args[1:]
        try:
            with run.watched:
                return noted.around(self._target)(*args, **kwargs)
        finally:
            if run.watched.stopped:
                noted = Noted()
            run.conclude(noted.ending, error=noted.error)


class Noted:
    """How a function came to its end: the first exception tells most."""

    def __init__(self) -> None:
        self.ending = Ending.FINISHED
        self.error = ""

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that does the same, and is taken note of."""

        def noting(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except SystemExit as left:
                self.error = self.error or (f"SystemExit: {left.code}" if left.code else "")
                raise
            except BaseException as raised:
                self.ending = Ending.RAISED
                self.error = self.error or f"{type(raised).__name__}: {raised}"
                raise

        return noting


class WatchedChildren:
    """Puts the processes that the program starts under watch, and keeps an eye on them."""

    def __init__(self, plan: ChildPlan) -> None:
        self._plan = plan
        self._started: list[BaseProcess] = []
        self._start = BaseProcess.start
        self._process = os.getpid()
        self._is_over = False

    def __bool__(self) -> bool:
        """Tell whether any was started."""
        return bool(self._started)

    @property
    def is_waited_for(self) -> bool:
        """Python waits for them when this process ends."""
        return bool(self._started)

    def numbers(self) -> Iterable[int]:
        """Return their numbers, in the order in which they were started."""
        return range(len(self._started))

    def is_gone(self, number: int) -> bool:
        """Tell whether a process has ended."""
        try:
            return not self._started[number].is_alive()
        except ValueError:  # the program has closed it
            return True

    def watch(
        self, run_folder: Callable[[], Path | None], first_started: Callable[[], None]
    ) -> None:
        """Watch every training process that is started from now on, as a rank of this run.

        `run_folder` is asked when the first of them is about to start.
        """
        start, children = self._start, self

        def observed(process: BaseProcess) -> None:
            target: Callable[..., Any] | None = vars(process).get("_target")
            ours = not (children._is_over or process.daemon) and os.getpid() == children._process
            folder = run_folder() if target and ours and may_train(target) else None
            if target and folder is not None:
                number = len(children._started)
                vars(process)["_target"] = WatchedTarget(target, number, folder, children._plan)
                start(process)
                children._started.append(process)
                if not number:
                    first_started()
                return
            start(process)

        self._observed = observed
        BaseProcess.start = observed  # type: ignore[assignment, method-assign]

    def over(self) -> None:
        """Watch no more of them. Does nothing the second time."""
        if not self._is_over:
            self._is_over = True
            put_back(BaseProcess, "start", self._observed, self._start)
