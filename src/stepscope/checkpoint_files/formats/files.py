"""Reading parts of a regular file, and of nothing else."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from stepscope.checkpoint_files.content import UnreadableCheckpoint


@dataclass(frozen=True, slots=True)
class Opened:
    """A file that is open for reading at given places."""

    path: Path
    descriptor: int
    nbytes: int  # when it was opened

    def read(self, start: int, length: int) -> bytes:
        """Return exactly the bytes that were asked for."""
        data = os.pread(self.descriptor, length, start)
        while len(data) < length:
            more = os.pread(self.descriptor, length - len(data), start + len(data))
            if not more:
                raise shorter(self.path)
            data += more
        return data


@contextmanager
def opened(path: Path) -> Iterator[Opened]:
    """Open a regular file, without waiting for the other end of a pipe.

    Raises:
        UnreadableCheckpoint: it does not exist, is no regular file, or must not be read.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a device can act on it
            raise not_regular(path)
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as problem:
        raise _inaccessible(path, problem) from problem
    try:
        about = os.fstat(descriptor)
        if not stat.S_ISREG(about.st_mode):
            raise not_regular(path)
        yield Opened(path, descriptor, about.st_size)
    except OSError as problem:
        raise _inaccessible(path, problem) from problem
    finally:
        os.close(descriptor)


def inside(folder: Path, name: str) -> Path:
    """Return the path of a file that a file in this folder names.

    Raises:
        UnreadableCheckpoint: the name, or the symbolic link at its place, points out of the
            folder. Links from a snapshot of the Hugging Face cache to its blobs are in order.
    """
    path = folder / name
    try:
        home = folder.resolve()
        target = path.resolve()
    except (OSError, ValueError, RuntimeError) as problem:
        raise _inaccessible(folder, problem) from problem
    allowed = [home]
    if home.parent.name == "snapshots":
        allowed.append(home.parent.parent / "blobs")
    if not any(target.is_relative_to(place) for place in allowed):
        raise UnreadableCheckpoint(
            folder,
            f"{name!r} points out of the folder, to {target}",
            expected="all parts of a checkpoint in its own folder",
            advice="copy the file into the folder if you trust it",
        )
    return path


def shorter(path: Path) -> UnreadableCheckpoint:
    """Return the error for a file from which bytes went missing."""
    return UnreadableCheckpoint(
        path,
        "the file is shorter than when it was looked into",
        expected="a file that nothing writes to",
        advice="wait until it is written, then try again",
    )


def not_regular(path: Path) -> UnreadableCheckpoint:
    """Return the error for pipes, devices and sockets."""
    return UnreadableCheckpoint(path, "this is no regular file", expected="a file or a folder")


def _inaccessible(path: Path, problem: Exception) -> UnreadableCheckpoint:
    reason = problem.strerror if isinstance(problem, OSError) else None
    return UnreadableCheckpoint(
        path,
        f"the file cannot be opened: {reason or problem}",
        expected="a file that you may read",
        advice="check the path and its permissions",
    )
