"""Which checkpoint files the program asked for and read, and which tensors came from them."""

import os
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from types import ModuleType
from typing import Any

import torch
from torch.multiprocessing.reductions import StorageWeakRef

from stepscope.core import Place
from stepscope.evidence.checkpoints import FileTried
from stepscope.probes.imports import when_imported
from stepscope.probes.live_run import LiveRun
from stepscope.probes.looking import Lookout
from stepscope.probes.source_lines import PROGRAM, kind_of, running_frame, running_line

SUFFIXES = (".pth", ".pt", ".ckpt", ".bin", ".safetensors", ".tar", ".pkl", ".npz", ".weights")
MOST_PATHS = 256
MOST_TENSORS = 100_000  # of one file
DEEPEST = 6  # containers within containers of one file
CLOCK_S = 2.0  # coarsest time stamp of a file system in use (FAT)


class _Asked:
    """One path, from the first time it was asked for."""

    def __init__(self, path: str, *, existed: bool) -> None:
        self.path = path
        self.existed = existed
        self.loaded = False
        self.option, self.named = _on_command_line(path)
        frame = running_frame()
        self.by_program = frame is None or kind_of(frame.f_code) == PROGRAM
        self.at: Place = running_line(PROGRAM)


class FilesTried:
    """Watches the ways to a checkpoint file. Reads no file itself."""

    def __init__(self, run: LiveRun, lookout: Lookout) -> None:
        self._run = run
        self._lookout = lookout
        self._asked: dict[str, _Asked] = {}
        self._origins: dict[int, tuple[StorageWeakRef, str]] = {}
        self._began = time.time()
        self.read_from_memory = 0
        self._over = False
        run.on_end(self._end)
        for name in ("exists", "isfile"):
            run.patch(os.path, name, self._around_question)
        for name in ("exists", "is_file"):
            run.patch(pathlib.Path, name, self._around_question)
        run.patch(torch, "load", self._around_read)
        run.patch(torch.jit, "load", self._around_read)
        when_imported(run, "safetensors", self._watch("safe_open"))
        when_imported(run, "safetensors.torch", self._watch("load_file", "load"))

    def tried(self) -> tuple[FileTried, ...]:
        """Return all paths that were asked for, in the order of asking."""
        return tuple(
            FileTried(
                path=asked.path,
                existed=asked.existed,
                loaded=asked.loaded,
                named_on_command_line=asked.named,
                option=asked.option,
                by_program=asked.by_program,
                at=asked.at,
            )
            for asked in self._asked.values()
        )

    def origin(self, state: object) -> str:
        """Return the file that the first known tensor of a state was read from, or ""."""
        for tensor in tensors_in(state):
            found = self._origins.get(storage_key(tensor))
            if found is not None:
                return found[1]
        return ""

    def written_in_this_run(self, path: str) -> bool:
        """Tell whether a file was changed since the recording began, by whatever process."""
        try:
            return pathlib.Path(path).stat().st_mtime > self._began - CLOCK_S
        except OSError:
            return False

    def _is_open(self) -> bool:
        return not self._over and self._lookout.is_open()

    def _end(self) -> None:
        self._over = True  # for names that the program has bound before they were put back

    def _watch(self, *names: str) -> Callable[[ModuleType], None]:
        def patch(module: ModuleType) -> None:
            for name in () if self._over else names:
                self._run.patch(module, name, self._around_read)

        return patch

    def _around_question(self, ask: Callable[..., Any]) -> Callable[..., Any]:
        def observed(path: Any, *args: Any, **kwargs: Any) -> Any:
            answer = ask(path, *args, **kwargs)
            named = isinstance(path, str | os.PathLike) and str(path).endswith(SUFFIXES)
            if named and self._is_open():
                with self._lookout.looking():
                    self._note(path_of(path), existed=bool(answer))
            return answer

        return observed

    def _around_read(self, read: Callable[..., Any]) -> Callable[..., Any]:
        def observed(*args: Any, **kwargs: Any) -> Any:
            if not self._is_open():
                return read(*args, **kwargs)
            source = args[0] if args else kwargs.get("f") or kwargs.get("filename")
            try:
                result = read(*args, **kwargs)
            except FileNotFoundError:
                with self._lookout.looking():
                    self._note(path_of(source), existed=False)
                raise
            with self._lookout.looking():
                path = path_of(source)
                self.read_from_memory += not path
                asked = self._note(path, existed=True)
                if asked is not None:
                    asked.loaded = True
                    self._remember(result, path)
            return result

        return observed

    def _note(self, path: str, *, existed: bool) -> _Asked | None:
        asked = self._asked.get(path)
        if asked is None and path and len(self._asked) < MOST_PATHS:
            asked = self._asked[path] = _Asked(path, existed=existed)
        return asked

    def _remember(self, result: object, path: str) -> None:
        for count, tensor in enumerate(tensors_in(result)):
            if count >= MOST_TENSORS:
                break
            key = storage_key(tensor)
            if key and key not in self._origins:
                self._origins[key] = (StorageWeakRef(tensor.untyped_storage()), path)


def tensors_in(state: object, depth: int = 0) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested dictionaries, lists and modules."""
    if isinstance(state, torch.Tensor):
        yield state
    elif isinstance(state, torch.nn.Module):
        yield from state.parameters()
        yield from state.buffers()
    elif depth < DEEPEST and isinstance(state, Mapping | list | tuple):
        for value in state.values() if isinstance(state, Mapping) else state:
            yield from tensors_in(value, depth + 1)


def storage_key(tensor: torch.Tensor) -> int:
    """Identify the memory of a tensor; unique for as long as a weak reference to it is held."""
    try:
        return int(tensor.untyped_storage()._cdata)
    except (NotImplementedError, RuntimeError):  # sparse, or a wrapper without memory of its own
        return 0


def path_of(path: object) -> str:
    """Return the path of a path-like or of an open file, "" for anything else."""
    if isinstance(path, str):
        return path
    named = path if isinstance(path, os.PathLike) else getattr(path, "name", None)
    text = os.fspath(named) if isinstance(named, str | os.PathLike) else ""
    return text if isinstance(text, str) else os.fsdecode(text)


def _on_command_line(path: str) -> tuple[str, bool]:
    """Return the option that names this path ("" for a positional), and whether any does."""
    for before, word in zip(sys.argv, sys.argv[1:], strict=False):
        key, equals, value = word.partition("=")
        if word == path or os.path.normpath(word) == path:
            return (before if before.startswith("-") and "=" not in before else ""), True
        if equals and (value == path or os.path.normpath(value) == path):
            return key, True
    return "", False
