"""Who called `train()`, `eval()` and `requires_grad_()` on which module."""

import weakref
from collections.abc import Callable, Mapping
from typing import Any

import torch

from stepscope.core import Place
from stepscope.evidence.modules import ModeCall
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, kind_of, running_frame, running_line


class ModeCalls:
    """The explicit calls, in order. Those that torch makes on the children are not counted."""

    def __init__(self, run: LiveRun) -> None:
        self._run = run
        self._inside = False
        self._lookout = Lookout(run, type(self).__name__)
        self._calls: list[tuple[weakref.ref[torch.nn.Module], str, Place, bool]] = []
        self._names: dict[int, str] = {}  # by position in `_calls`
        for name in ("train", "eval", "requires_grad_"):
            run.patch(torch.nn.Module, name, self._around)

    def name(self, names: Mapping[torch.nn.Module, str]) -> None:
        """Give the modules of the calls so far their present names, while they live."""
        for i, (reference, *_) in enumerate(self._calls):
            module = reference()
            if module is not None and module in names:
                self._names[i] = names[module]

    def named(self) -> tuple[ModeCall, ...]:
        """Return the calls whose module got a name."""
        return tuple(
            ModeCall(module=self._names[i], call=call, at=at, direct=direct)
            for i, (_, call, at, direct) in enumerate(self._calls)
            if i in self._names
        )

    def _around(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def observed(module: torch.nn.Module, *args: Any, **kwargs: Any) -> Any:
            if self._inside or not self._lookout.is_open():
                return original(module, *args, **kwargs)
            self._inside = True
            try:
                result = original(module, *args, **kwargs)
            finally:
                self._inside = False
            with self._lookout.looking():
                self._note(module, original.__name__, (*args, *kwargs.values()))
            return result

        return observed

    def _note(self, module: torch.nn.Module, name: str, values: tuple[Any, ...]) -> None:
        switch = bool(values[0]) if values else True
        if name == "train":
            call = "train()" if switch else "eval()"
        else:
            call = "eval()" if name == "eval" else f"requires_grad_({switch})"
        frame = running_frame()
        direct = frame is not None and kind_of(frame.f_code) == PROGRAM
        place = running_line(PROGRAM)
        at = Place(file=place.file, line=place.line, function=place.function, step=self._run.step)
        self._calls.append((weakref.ref(module), call, at, direct))
