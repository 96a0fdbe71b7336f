"""Where the recordings of runs lie: `.stepscope/<run>/rank-N/` below the folder of the program."""

import datetime as dt
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath

import msgspec

from stepscope.core.recording import sayable
from stepscope.core.whole_file import write_whole
from stepscope.recordings.entries import Header
from stepscope.recordings.secrets import masked
from stepscope.version import __version__

HOME = ".stepscope"
LATEST = "latest"  # a file with the name of the run that began last: not every system has links
LONGEST_STEM = 40  # characters of the program's name


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The folder of one run."""

    path: Path

    @property
    def name(self) -> str:
        """How the run is called: when it began, and its program."""
        return self.path.name

    def rank(self, number: int) -> Path:
        """Return where this process of the run is recorded."""
        return self.path / f"rank-{number}"


def begin(home: Path, program: str, arguments: Sequence[str] = (), *, ranks: int = 1) -> RunFolder:
    """Make the folder of a new run. One process of the run does so, and tells the others its name.

    `home` is the folder that the program was started in, `program` what was started:
    "train.py" or "-m package.module". Secrets among its arguments are not written.

    Raises:
        OSError: nothing can be written there.
    """
    below = home / HOME
    below.mkdir(exist_ok=True)
    if not (ignored := below / ".gitignore").exists():
        write_whole(ignored, b"*\n")
    started = dt.datetime.now().astimezone()
    run = _made(below, f"{started:%Y-%m-%dT%H-%M-%S}-{_stem(program)}")
    header = Header(
        stepscope=__version__,
        program=program,
        arguments=masked(arguments),
        started=started.isoformat(timespec="seconds"),
        ranks=ranks,
    )
    content = msgspec.json.encode(sayable(msgspec.to_builtins(header)))
    write_whole(run.path / Header.FILE, content + b"\n")
    write_whole(below / LATEST, run.name.encode() + b"\n")
    return run


def join(home: Path, name: str) -> RunFolder:
    """Return the folder of a run that another process has begun."""
    return RunFolder(home / HOME / name)


def runs(home: Path) -> tuple[RunFolder, ...]:
    """Return all runs that were recorded below this folder, by name."""
    return tuple(
        RunFolder(header.parent) for header in sorted((home / HOME).glob(f"*/{Header.FILE}"))
    )


def latest(home: Path) -> RunFolder:
    """Return the run that began last, whatever the clock said then.

    Raises:
        ValueError: there is none.
    """
    pointer = home / HOME / LATEST
    known = {run.name: run for run in runs(home)}
    if not known:
        raise ValueError(
            f"{home / HOME} holds no recording of a run; expected one that "
            f"`stepscope run` made: start it in {home}, or name the folder of a run"
        )
    if pointer.is_file() and (name := pointer.read_text(errors="replace").strip()) in known:
        return known[name]
    return known[max(known)]  # the one that it named was removed


def _made(below: Path, name: str) -> RunFolder:
    for number in itertools.count(1):
        path = below / (name if number == 1 else f"{name}-{number}")
        try:
            path.mkdir()
        except FileExistsError:  # a run that began in the same second
            continue
        return RunFolder(path)
    raise AssertionError("counting has no end")


def _stem(program: str) -> str:
    """Return the program's name without what a file system may not like."""
    module = program.removeprefix("-m ")
    stem = module.rsplit(".", 1)[-1] if module != program else PurePath(program).stem
    return re.sub(r"[^A-Za-z0-9_-]+", "_", stem)[:LONGEST_STEM] or "run"
