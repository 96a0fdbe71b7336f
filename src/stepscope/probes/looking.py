"""Looking from inside a patched function, as quietly as at a moment."""

import contextlib
import os
import threading
import traceback
from collections.abc import Iterator

import torch

from stepscope.probes.being_traced import is_being_traced
from stepscope.probes.live_run import LiveRun


class Lookout:
    """Decides whether a patched function may look, and makes the look harmless.

    A fault while looking is kept in `run.faults`, and ends the looking for good.
    """

    def __init__(self, run: LiveRun, name: str) -> None:
        self._run = run
        self._name = name
        self._thread = threading.get_ident()
        self._process = os.getpid()
        self._broken = False

    @property
    def is_broken(self) -> bool:
        """Whether a look has failed: what was seen before it may be half of something."""
        return self._broken

    def is_open(self) -> bool:
        """Tell whether the program itself is at work: its process and thread, no backward."""
        return not (
            self._broken
            or self._run.looking
            or self._run.in_backward
            or threading.get_ident() != self._thread
            or os.getpid() != self._process
            or is_being_traced()
        )

    @contextlib.contextmanager
    def looking(self) -> Iterator[None]:
        """Look: without gradients, without torch-function modes, and without being looked at."""
        before = self._run.looking
        self._run.looking = True
        try:
            with torch._C.DisableTorchFunction(), torch.no_grad():
                yield
        except Exception:  # noqa: BLE001 - a fault of ours must not stop the program
            self._broken = True
            self._run.faults.append(f"{self._name}: {traceback.format_exc()}")
        finally:
            self._run.looking = before
