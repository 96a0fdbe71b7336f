"""Tells those who look at a run of its moments, without the run noticing."""

import traceback
from collections.abc import Callable, Iterator
from typing import Any

import torch

from stepscope.probes.live_run import LiveRun


def moments_of(kind: type, *, but: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the moments that a base class of lookers has: its public methods."""
    return tuple(
        name
        for name, value in vars(kind).items()
        if callable(value) and name[0] != "_" and name not in but
    )


class Telling:
    """Hands each moment to those who override it; one that fails is taken out.

    While it tells, gradients and torch-function modes are off, and nothing else is told.
    """

    def __init__(self, run: LiveRun, kind: type, moments: tuple[str, ...]) -> None:
        self._run = run
        self._kind = kind
        self._lookers: list[Any] = []
        self._hooks: dict[str, list[Callable[..., None]]] = {moment: [] for moment in moments}

    def attach(self, looker: Any) -> None:
        """Tell this one too, of the moments that its class overrides."""
        self._lookers.append(looker)
        for moment, hooks in self._hooks.items():
            if getattr(type(looker), moment) is not getattr(self._kind, moment):
                hooks.append(getattr(looker, moment))

    def tell(self, moment: str, *facts: Any) -> None:
        """Tell of a moment, unless somebody is looking already."""
        hooks = self._hooks[moment]
        if not hooks or self._run.looking:
            return
        self._run.looking = True
        self._run.moments += 1
        self._run.grad_enabled = torch.is_grad_enabled()
        try:
            with torch._C.DisableTorchFunction():
                self._call(hooks, facts)
        finally:
            self._run.looking = False

    def _call(self, hooks: list[Callable[..., None]], facts: tuple[Any, ...]) -> None:
        torch._C._set_grad_enabled(False)  # noqa: FBT003 - `torch.no_grad` would take twice the time
        try:
            for hook in tuple(hooks):
                try:
                    hook(*facts)
                except Exception:  # noqa: BLE001 - a fault of ours must not stop the program
                    self._drop(hook)
        finally:
            torch._C._set_grad_enabled(self._run.grad_enabled)

    def gather(self, said: Callable[[Any], Iterator[Any]]) -> list[Any]:
        """Ask everybody for what they have to say, and let go of them."""
        found: list[Any] = []
        self._run.looking = True
        with torch._C.DisableTorchFunction(), torch.no_grad():
            for looker in self._lookers:
                try:
                    found.extend(said(looker))
                except Exception:  # noqa: BLE001 - a fault of ours must not stop the program
                    self._fault(looker)
        self._lookers.clear()
        self._hooks = {moment: [] for moment in self._hooks}
        return found

    def _drop(self, hook: Callable[..., None]) -> None:
        looker: Any = hook.__self__  # type: ignore[attr-defined]  # hooks are bound methods
        self._fault(looker)
        self._lookers.remove(looker)
        for moment, hooks in self._hooks.items():
            self._hooks[moment] = [each for each in hooks if each.__self__ is not looker]  # type: ignore[attr-defined]

    def _fault(self, looker: Any) -> None:
        self._run.faults.append(f"{type(looker).__name__}: {traceback.format_exc()}")
