"""Which settings of configurations the program reads."""

import argparse
from collections.abc import Callable
from types import ModuleType
from typing import Any

import torch

from stepscope.probes.configurations.asking import is_own
from stepscope.probes.configurations.defaults import changed_options
from stepscope.probes.configurations.handed import HANDED
from stepscope.probes.configurations.libraries import Libraries
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, running_frame, running_line

COMPILED = "may have been read in what torch.compile has compiled"


class ReadingSampler(Sampler):
    """Notes the first read of each setting in each phase, at the price of a call for each read.

    A configuration stays what it is; only its class looks up attributes and items in another way.
    Settings that are printed, logged or saved all at once are not thereby read.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._book = HANDED.adopt(run)
        self._is_parsing = False
        self._is_running = False
        run.patch(argparse.ArgumentParser, "parse_known_args", self._around_parse)
        run.patch(torch, "compile", self._around_compile)
        when_imported(run, "torch.export", self._listen_to_export)
        Libraries(self._book, run)

    def step_over(self) -> None:
        """Look once at what the configurations hold when the training has begun."""
        if not self._is_running:
            self._is_running = True
            with self._book.attending():
                self._look()

    def ended(self) -> None:
        """Tell how each was used."""
        if not self._book.is_over:
            with self._book.quietly():
                for each in self._book.known:
                    each.unseen = each.unseen or (COMPILED if self._book.is_unheard else "")
                    self.notes.happen(each.told())
        self._book.close()

    def _look(self) -> None:
        for each in self._book.known:
            each.look()
            self.run.declared |= {module.kind for module in each.modules}

    def _listen_to_export(self, module: ModuleType) -> None:
        self.run.patch(module, "export", self._around_compile)

    def _around_compile(self, compiled: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            self._book.stop_hearing()
            return compiled(*args, **kwargs)

        return observed

    def _around_parse(self, parse: Callable[..., Any]) -> Callable[..., Any]:
        def observed(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
            is_outer, self._is_parsing = not self._is_parsing, True  # parsers of commands lie below
            try:
                result = parse(parser, *args, **kwargs)
            finally:
                self._is_parsing = not is_outer
            if is_outer and self._lookout.is_open():
                with self._lookout.looking():
                    self._begin(parser, result[0])
            return result

        return observed

    def _begin(self, parser: argparse.ArgumentParser, namespace: object) -> None:
        if type(namespace) is not argparse.Namespace or _is_of_library():
            return  # of another library, with attributes of its own making
        self._book.begin(
            namespace,
            "argparse.Namespace",
            running_line(PROGRAM),
            given=changed_options(parser, vars(namespace)),
            grows=False,
        )


def _is_of_library() -> bool:
    """Tell whether a library of configurations, such as Hydra, parses options for itself."""
    frame = running_frame()
    while frame is not None and frame.f_globals.get("__name__") == argparse.__name__:
        frame = frame.f_back
    return frame is not None and is_own(frame)
