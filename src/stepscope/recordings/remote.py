"""Recordings that lie elsewhere: in a bucket, on another machine, wherever fsspec reaches."""

import shutil
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from stepscope.recordings import files
from stepscope.recordings.entries import Header

LARGEST = 2**30  # bytes; no file of a recording comes near it


def runs_at(url: str) -> tuple[str, ...]:
    """Return where recordings lie in this folder, by name: "s3://bucket/.stepscope".

    Raises:
        ValueError: fsspec, or what it needs for such a place, is not installed.
        OSError: the place cannot be read.
    """
    system, root = _opened(url)
    headers = system.glob(f"{root}/*/{Header.FILE}")
    runs = sorted(str(PurePosixPath(each).parent) for each in headers)
    return tuple(system.unstrip_protocol(each) for each in runs)


def fetch(url: str, into: Path) -> Path:
    """Copy the recording of a run to a folder of its name in `into`, and return that.

    Only files that a recording consists of are copied, whatever else lies there.

    Raises:
        ValueError: fsspec, or what it needs for such a place, is not installed; no recording
            is there, or a file of it is larger than any recording.
        OSError: it cannot be read there, or not be written here.
    """
    system, root = _opened(url)
    sizes = {
        name: int(known["size"])
        for path, known in system.find(root, detail=True).items()
        if files.is_of_recording(name := path.removeprefix(f"{root}/"))
    }
    if Header.FILE not in sizes:
        raise ValueError(f"{url} holds no {Header.FILE}; expected the folder of a recorded run")
    run = into / PurePosixPath(root).name
    for name in _header_last(sizes):
        if sizes[name] > LARGEST:
            raise ValueError(
                f"{url}/{name} has {sizes[name]:,} bytes; expected at most {LARGEST:,}, so it is "
                f"not what stepscope wrote: remove it"
            )
        copy = run / name
        copy.parent.mkdir(parents=True, exist_ok=True)
        with system.open(f"{root}/{name}", "rb") as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target)
    return run


def send(run: Path, url: str) -> None:
    """Copy the recording of a run into the folder at `url`.

    Raises:
        ValueError: fsspec, or what it needs for such a place, is not installed; or `run` is no
            folder of a run.
        OSError: it cannot be read here, or not be written there.
    """
    if not (run / Header.FILE).is_file():
        raise ValueError(f"{run} holds no {Header.FILE}; expected the folder of a recorded run")
    system, root = _opened(url)
    names = (path.relative_to(run).as_posix() for path in run.rglob("*") if path.is_file())
    for name in _header_last(name for name in names if files.is_of_recording(name)):
        copy = f"{root}/{name}"
        system.makedirs(str(PurePosixPath(copy).parent), exist_ok=True)
        with (run / name).open("rb") as source, system.open(copy, "wb") as target:
            shutil.copyfileobj(source, target)


def _header_last(names: Iterable[str]) -> list[str]:
    """Sort them so that what was copied in part is not taken for a recording."""
    return sorted(names, key=lambda name: (name == Header.FILE, name))


def _opened(url: str) -> tuple[Any, str]:
    """Return the file system of a URL, and the path there."""
    try:
        import fsspec
    except ModuleNotFoundError:
        raise ValueError(
            f"{url} needs fsspec, which is not installed; pip install 'stepscope[remote]'"
        ) from None
    try:
        system, root = fsspec.core.url_to_fs(url)
    except ImportError as why:  # s3fs, gcsfs: fsspec says which
        raise ValueError(f"{url} cannot be opened: {why}") from None
    return system, str(root).rstrip("/")
