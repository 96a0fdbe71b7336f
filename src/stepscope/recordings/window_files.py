"""Windows of a run on disk, one file each, in bounded room."""

from pathlib import Path

from stepscope.core.whole_file import write_whole
from stepscope.recordings.files import WindowName


class WindowFiles:
    """The windows of one process. The first and the newer ones stay."""

    def __init__(self, folder: Path, room: int) -> None:
        """`room` is the number of bytes that all of them may take."""
        self._folder = folder
        self._room = room
        self._number = 0
        self._sizes: dict[WindowName, int] = {}

    def add(self, part: int, content: bytes) -> WindowName:
        """Write one, and return its name.

        Raises:
            OSError: it cannot be written.
        """
        while self._sizes and sum(self._sizes.values()) + len(content) > self._room:
            self._thin()
        name = WindowName(part, self._number + 1)
        write_whole(self._folder / str(name), content)
        self._number += 1
        self._sizes[name] = len(content)
        return name

    def _thin(self) -> None:
        """Remove every second of the older half, or what there is."""
        names = list(self._sizes)
        for name in names[1 : len(names) // 2 + 1 : 2] or names:
            (self._folder / str(name)).unlink(missing_ok=True)
            del self._sizes[name]
