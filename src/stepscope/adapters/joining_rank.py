"""A program that turns out to be a rank of a run which a program above it has begun."""

import os
import pickle
import stat
from pathlib import Path

import psutil

from stepscope.adapters.company.arrivals import Arrivals
from stepscope.adapters.company.exchange import Exchange
from stepscope.adapters.ranks import presumed_rank
from stepscope.adapters.started_ranks import HOW
from stepscope.adapters.under_way import RunUnderWay, stop_quietly
from stepscope.adapters.watched_children import ChildPlan
from stepscope.inherited import read_marker
from stepscope.recordings.folder import RunFolder


def join(value: str, program: str, arguments: tuple[str, ...]) -> None:
    """Watch this program from here on, as a rank of the run that the variable names.

    Nothing happens where that run is over, where it was begun elsewhere (a job that is sent to
    another machine takes the environment with it), or where the rank has come already: it is
    another program then, which was started by that rank.
    """
    number, path = read_marker(value)
    folder = RunFolder(Path(path))
    exchange = Exchange(folder)
    how = exchange.path / HOW
    if not (_is_below(number) and how.is_file() and _is_own(how)):
        return
    rank = presumed_rank()
    if rank is not None and not Arrivals(exchange).is_gone(rank):
        return
    plan = pickle.loads(how.read_bytes())  # noqa: S301 - written by the program above, for us
    assert isinstance(plan, ChildPlan), "nobody else writes there"
    run = plan.joining(folder, program, arguments, stop=stop_quietly)
    RunUnderWay(run, lambda _: None).begin()  # the report is that of the program above


def _is_own(path: Path) -> bool:
    """Tell that nobody else can have written a file."""
    found = path.lstat()
    own = os.getuid() if hasattr(os, "getuid") else found.st_uid  # Windows has no such number
    return stat.S_ISREG(found.st_mode) and found.st_uid == own and not found.st_mode & 0o022


def _is_below(number: int) -> bool:
    return any(each.pid == number for each in psutil.Process(os.getpid()).parents())
