"""Optimizer steps that are out of sight: in other threads, and in forked processes."""

import mmap
import os
import threading
from typing import Any

from torch.optim import optimizer as optimizer_hooks

from stepscope.adapters.own_words import say

THREAD, PROCESS = b"T", b"P"
WORDS = {THREAD: "a thread other than the main one", PROCESS: "a forked process"}


class Elsewhere:
    """Notices steps that are taken where no probe looks, so that the report can tell."""

    def __init__(self) -> None:
        self._process = os.getpid()
        self._thread = threading.get_ident()
        self._mark = mmap.mmap(-1, 1)  # shared with forked children

    @property
    def where(self) -> str:
        """Where steps were taken out of sight; "" if nowhere."""
        return WORDS.get(self._mark[:1], "")

    def watch(self) -> None:
        """Notice steps from now on."""
        self._hook = optimizer_hooks.register_optimizer_step_post_hook(self._stepped)

    def over(self) -> None:
        """Notice no more."""
        self._hook.remove()

    def _stepped(self, *_: Any) -> None:
        if os.getpid() != self._process:
            self._mark[:1] = PROCESS
        elif threading.get_ident() != self._thread and not self.where:
            self._mark[:1] = THREAD
            say(f"an optimizer step was taken in {self.where}, which is not observed")
