"""The most memory that a process has held, from a moment on."""

import os
import sys
from pathlib import Path

import psutil
import torch

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def held() -> int:
    """Return the bytes that this process holds now: on the GPU where one is used."""
    if torch.cuda.is_available() and torch.cuda.is_initialized():
        return torch.cuda.memory_allocated()
    return int(psutil.Process().memory_info().rss)


class Peak:
    """The largest number of bytes held since it was made."""

    def __init__(self) -> None:
        self.is_on_gpu = torch.cuda.is_available() and torch.cuda.is_initialized()
        if self.is_on_gpu:
            torch.cuda.reset_peak_memory_stats()
            self.is_exact = True
        else:
            self.is_exact = sys.platform == "linux" and _reset()
        self._most = held()

    def look(self) -> None:
        """Look at what is held now; of use where the system does not remember the peak."""
        if not self.is_exact:
            self._most = max(self._most, held())

    @property
    def nbytes(self) -> int:
        """The peak so far."""
        if self.is_on_gpu:
            return torch.cuda.max_memory_allocated()
        if not self.is_exact:
            return self._most
        line = next(each for each in _STATUS.read_text().splitlines() if each.startswith("VmHWM"))
        return int(line.split()[1]) * 1024


def _reset() -> bool:
    """Have Linux forget the peak (proc(5): 5 written to clear_refs)."""
    try:
        with os.fdopen(os.open(_CLEAR, os.O_WRONLY), "w") as file:
            file.write("5")
    except OSError:
        return False
    return True
