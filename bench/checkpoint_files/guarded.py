"""Reads a file under limits, while whatever a pickle could be made to do is being watched."""

import os
import resource
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from stepscope.checkpoint_files.content import Opaque, TensorAt, UnreadableCheckpoint
from stepscope.checkpoint_files.reading import read
from stepscope.checkpoint_files.statistics import measure

SECONDS = 20
MEMORY = 2 << 30  # bytes beyond what the process has mapped when it begins
FORBIDDEN = ("os.", "subprocess.", "pickle.", "socket.", "shutil.", "ctypes.", "exec", "compile")
HARMLESS = ("os.scandir", "os.listdir")


class Hung(BaseException):
    """A file took longer than `SECONDS`."""


class Watch:
    """What the interpreter reports about itself while a file is read."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.active = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, args: tuple[object, ...]) -> None:
        if not self.active or event in HARMLESS:
            return
        if event == "open":
            flags = args[2]
            assert isinstance(flags, int)
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
                self.seen.append(f"wrote to {args[0]}")
        elif event == "import" or event.startswith(FORBIDDEN):
            self.seen.append(f"{event} {args[:2]}")


def limit_memory() -> None:
    """Let allocations fail that a healthy file does not need."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (mapped + MEMORY, mapped + MEMORY))


@contextmanager
def limit_time() -> Iterator[None]:
    """Raise `Hung` in what takes too long."""

    def ring(_number: int, _frame: FrameType | None) -> None:
        raise Hung

    signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)


def outcome(path: Path, watch: Watch) -> str:
    """Return "read", "damaged" or "asks for code", or what should never be."""
    watch.active = True
    try:
        with limit_time():
            content = read(path)
            tensors: dict[str, TensorAt] = {}
            _walk(content.tree, tensors)
            measure(tensors)
        result = "read"
    except UnreadableCheckpoint as refusal:
        str(refusal).encode()
        result = "asks for code" if refusal.globals else "damaged"
    except (Exception, Hung) as failure:  # noqa: BLE001  # each is what this program looks for
        result = f"FAILED: {type(failure).__name__}: {failure}"
    finally:
        watch.active = False
    if watch.seen:
        result = f"FAILED: {Counter(watch.seen).most_common(3)}"
        watch.seen = []
    return result


def _walk(tree: object, tensors: dict[str, TensorAt]) -> None:
    """Visit everything by plain recursion, as a reader of the content may."""
    if isinstance(tree, TensorAt):
        tensors[str(len(tensors))] = tree
    elif isinstance(tree, str):
        tree.encode()
    elif isinstance(tree, dict):
        for key, value in tree.items():
            _walk(key, tensors)
            _walk(value, tensors)
    elif isinstance(tree, list | tuple):
        for item in tree:
            _walk(item, tensors)
    elif isinstance(tree, Opaque):
        for part in (tree.name, tree.args, tree.state, tree.items, tree.entries):
            _walk(part, tensors)
    else:
        str(tree)
