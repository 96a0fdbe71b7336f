"""Getting out of a program that is in the middle of its work."""

import contextlib
import gc
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import psutil
import torch
from torch.optim import optimizer as optimizer_hooks

from stepscope.probes.putting_back import put_back

PATIENCE = 3  # times that the program may take the end of its recording for an error of its own
GRACE_S = 3.0  # that a process gets to end by itself


class RecordingEnded(BaseException):
    """Raised in the program when its steps are recorded.

    No subclass of Exception, so that `except Exception` around a training loop lets it through.
    """


class RecordingTimedOut(RecordingEnded):
    """Raised in the program when its time is over."""


class Exit:
    """Ends the program, and insists where `except:` or `finally: return` swallow the end."""

    def __init__(self, give_up: Callable[[], NoReturn]) -> None:
        self._give_up = give_up
        self._swallowed = -1
        self._is_over = False
        self._thread = threading.get_ident()
        self._undo: list[Callable[[], None]] = []

    def now(self) -> NoReturn:
        """Raise in the program, and again at each forward or optimizer step it still begins."""
        self._insist()
        raise RecordingEnded

    def _insist(self) -> None:
        call: Callable[..., Any] = torch.nn.Module._call_impl

        def ended(*args: Any, **kwargs: Any) -> Any:
            self._again()
            return call(*args, **kwargs)

        torch.nn.Module._call_impl = ended  # type: ignore[method-assign]
        hook = optimizer_hooks.register_optimizer_step_pre_hook(lambda *_: self._again())
        self._undo = [
            hook.remove,
            lambda: put_back(torch.nn.Module, "_call_impl", ended, call),
        ]

    def _again(self) -> None:
        if self._is_over or threading.get_ident() != self._thread:
            return
        self._swallowed += 1
        if self._swallowed >= PATIENCE:
            self.over()
            self._give_up()
        raise RecordingEnded

    def over(self) -> None:
        """Stop insisting: the program has been left."""
        self._is_over = True
        while self._undo:
            self._undo.pop()()


def end_children(before: set[int]) -> list[str]:
    """End the processes that the program started and left, and return their command lines.

    `before` holds the children that were there before the program began.
    """
    gc.collect()  # iterators of data loaders shut their workers down when they are collected
    # Daemons of multiprocessing end with this process; a data loader would take the signal ill.
    daemons = {child.pid for child in multiprocessing.active_children() if child.daemon}
    left = [
        child
        for child in psutil.Process().children(recursive=True)
        if child.pid not in before | daemons and _is_the_programs(child)
    ]
    names = []
    for child in left:
        with contextlib.suppress(psutil.Error):
            names.append(" ".join(child.cmdline())[:120])
            child.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=GRACE_S)
    for child in stubborn:
        with contextlib.suppress(psutil.Error):
            child.kill()
    return names


def _is_the_programs(child: psutil.Process) -> bool:
    """Tell a process of the program from the helper that multiprocessing keeps for itself."""
    try:
        if child.status() == psutil.STATUS_ZOMBIE:
            return False
        return not any("resource_tracker" in part for part in child.cmdline())
    except psutil.Error:
        return False


def leave(code: int) -> NoReturn:
    """End this process, even where threads of the program would keep it alive.

    They get a little time to end by themselves, so that what the program has registered to be
    done at the end is done.
    """
    if any(
        not each.daemon for each in threading.enumerate() if each is not threading.main_thread()
    ):
        patience = threading.Timer(GRACE_S, leave_at_once, (code,))
        patience.daemon = True
        patience.start()
    raise SystemExit(code)  # the program may have replaced sys.exit


def leave_at_once(code: int) -> NoReturn:
    """End this process here and now, with the children that would have ended with it."""
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(Exception):  # the program may have put anything there
            if stream is not None:
                stream.flush()
    for child in multiprocessing.active_children():
        child.kill()
    os._exit(code)
