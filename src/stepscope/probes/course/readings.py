"""Which options of the command line the program reads."""

import argparse
import ast
import functools
import linecache
import re
import sys
import weakref
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType, FrameType
from typing import Any

import torch

from stepscope.core import Place
from stepscope.evidence.course.readings import ConfigurationRead, Phase, Read
from stepscope.probes.course.notes import Notes
from stepscope.probes.course.sampler import Sampler
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, place_of, running_line

MOST = 1024  # reads of one configuration that are kept
WHOLE = ("__dict__", "_get_kwargs")
PRINTING = ("argparse", "pprint", "reprlib", "torch.serialization", "pickle", "_pickle", "copyreg")
WRITTEN_DOWN = re.compile(
    r"print|json|yaml|toml|log|wandb|hparam|hyperparam|save|writ|dump|config="
)


@dataclass(slots=True)
class _Options:
    """One namespace. `Namespace` compares by value and so has no hash: it is known by its id."""

    namespace: weakref.ref[argparse.Namespace]
    keys: frozenset[str]
    given: tuple[str, ...]
    switches: tuple[str, ...]
    at: Place
    reads: dict[tuple[str, Phase, int, int], CodeType] = field(default_factory=dict)
    handed_on: Place | None = None


class ReadingSampler(Sampler):
    """Notes the first read of each option in each phase, at the price of a call for each read.

    The namespace stays what it is; only the class looks up attributes in another way. Options that
    are printed, logged or saved all at once are not thereby read.
    """

    def __init__(self, run: LiveRun, notes: Notes) -> None:
        super().__init__(run, notes)
        self._lookout = Lookout(run, type(self).__name__)
        self._options: dict[int, _Options] = {}
        self._inside = False
        run.patch(argparse.ArgumentParser, "parse_known_args", self._around_parse)

    def ended(self) -> None:
        """Tell how each was used."""
        for each in self._options.values():
            self.notes.happen(
                ConfigurationRead(
                    kind="argparse.Namespace",
                    keys=tuple(sorted(each.keys)),
                    given=each.given,
                    switches=each.switches,
                    reads=tuple(
                        _read_at(key, phase, code, line)
                        for (key, phase, _, line), code in each.reads.items()
                    ),
                    handed_on=each.handed_on,
                    at=each.at,
                )
            )

    def _around_parse(self, parse: Callable[..., Any]) -> Callable[..., Any]:
        def observed(parser: argparse.ArgumentParser, *args: Any, **kwargs: Any) -> Any:
            is_outer, self._inside = not self._inside, True  # of a parser with parsers of commands
            try:
                result = parse(parser, *args, **kwargs)
            finally:
                self._inside = not is_outer
            if is_outer and self._lookout.is_open():
                with self._lookout.looking():
                    self._begin(parser, result[0])
            return result

        return observed

    def _begin(self, parser: argparse.ArgumentParser, namespace: object) -> None:
        if type(namespace) is not argparse.Namespace:
            return  # of another library, with attributes of its own making
        if not self._options:
            self.run.patch(argparse.Namespace, "__getattribute__", self._around_read, is_inert=True)
        held = dict(vars(namespace))
        given = [key for key in held if not _is_equal(held[key], parser.get_default(key))]
        self._options[id(namespace)] = _Options(
            weakref.ref(namespace),
            frozenset(held),
            tuple(given),
            tuple(key for key in given if isinstance(held[key], bool)),
            running_line(PROGRAM),
        )

    def _around_read(self, read: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        def observed(namespace: Any, name: str) -> Any:
            value = read(namespace, name)
            known = self._options.get(id(namespace))
            if known is not None and not self._inside and not self.run.looking:
                if name in WHOLE:
                    self._read_whole(known, sys._getframe(1))
                elif name in known.keys:
                    self._read(known, name, sys._getframe(1))
            return value

        return observed

    def _read(self, known: _Options, name: str, frame: FrameType) -> None:
        phase = Phase.BUILD
        if self.run.step:
            phase = Phase.TRAINING if torch.is_grad_enabled() else Phase.EVALUATION
        if len(known.reads) < MOST:
            known.reads[name, phase, id(frame.f_code), frame.f_lineno] = frame.f_code

    def _read_whole(self, known: _Options, frame: FrameType) -> None:
        if known.handed_on is not None or frame.f_globals.get("__name__") in PRINTING:
            return
        if not WRITTEN_DOWN.search(linecache.getline(frame.f_code.co_filename, frame.f_lineno)):
            known.handed_on = place_of(frame.f_code, frame.f_lineno)


def _is_equal(value: object, default: object) -> bool:
    """Compare an option with its default, which may be given as text."""
    simple = (str, int, float, bool, type(None))
    both = isinstance(value, simple) and isinstance(default, simple)
    return value is default or (both and (value == default or str(value) == str(default)))


def _read_at(key: str, phase: Phase, code: CodeType, line: int) -> Read:
    call = _call_around(key, code.co_filename, line)
    return Read(
        key=key,
        phase=phase,
        at=place_of(code, line),
        into=ast.unparse(call.func) if call is not None else "",
        call_line=call.lineno if call is not None else 0,
    )


def _call_around(key: str, file: str, line: int) -> ast.Call | None:
    """Find the innermost call that is given `something.key` at a line of a file."""
    found = None
    for node in ast.walk(_parsed(file)):  # outer nodes come before inner ones
        if isinstance(node, ast.Call) and any(
            isinstance(given, ast.Attribute) and given.attr == key and given.lineno == line
            for given in (*node.args, *(keyword.value for keyword in node.keywords))
        ):
            found = node
    return found


@functools.lru_cache(maxsize=64)
def _parsed(file: str) -> ast.Module:
    try:
        return ast.parse("".join(linecache.getlines(file)))
    except (SyntaxError, ValueError):  # a cell of a notebook with commands of its own
        return ast.Module(body=[], type_ignores=[])
