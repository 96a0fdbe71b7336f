"""The program to observe, found and compiled before anything of it runs."""

import builtins
import importlib.util
import os
import runpy
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


class TargetError(ValueError):
    """The program cannot be started: what was asked for, what was found, what to do."""


@dataclass(frozen=True, slots=True)
class Target:
    """A script or a module, with its arguments."""

    path_or_module: str
    is_module: bool
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Say it as one would on the command line, without its arguments."""
        return f"-m {self.path_or_module}" if self.is_module else self.path_or_module

    def prepared(self) -> Callable[[], None]:
        """Return a function that runs the program as `python` would, in this process.

        Raises:
            TargetError: it does not exist, is a folder, cannot be read, or is no valid Python.
        """
        return self._module() if self.is_module else self._script()

    def _script(self) -> Callable[[], None]:
        path = Path(self.path_or_module)
        if os.path.isdir(path):  # noqa: PTH112 - false where the name is too long for a path
            raise TargetError(f"{path} is a folder; give the script in it that trains")
        try:
            source = path.read_bytes()
        except FileNotFoundError:
            raise TargetError(f"there is no script {path} in {Path.cwd()}") from None
        except OSError as why:
            raise TargetError(f"{path} cannot be read: {why.strerror}") from why
        absolute = os.path.abspath(path)  # noqa: PTH100 - as `python` does: links are kept
        try:
            code = compile(source, absolute, "exec", dont_inherit=True)
        except SyntaxError as why:
            line = f", line {why.lineno}" if why.lineno else ""
            raise TargetError(f"{path}{line} is not valid Python: {why.msg}") from why
        except ValueError as why:
            raise TargetError(f"{path} is not valid Python: {why}") from why

        def run() -> None:
            main = types.ModuleType("__main__")
            main.__file__ = absolute
            main.__dict__["__builtins__"] = builtins
            sys.argv[:] = [self.path_or_module, *self.arguments]
            if not sys.flags.safe_path:
                sys.path[0] = str(Path(absolute).resolve().parent)
            sys.modules["__main__"] = main
            exec(code, main.__dict__)  # noqa: S102 - to run it is what we were asked for

        return run

    def _module(self) -> Callable[[], None]:
        name = self.path_or_module
        if not sys.flags.safe_path:
            sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` does
        try:
            found = importlib.util.find_spec(name)
        except (ImportError, ValueError, AttributeError) as why:
            raise TargetError(f"there is no module {name}: {why}") from why
        except (Exception, SystemExit) as why:  # its package is imported, and may raise anything
            raise TargetError(f"{name} cannot be imported: {type(why).__name__}: {why}") from why
        if found is None:
            raise TargetError(f"there is no module {name} on the import path")

        def run() -> None:
            sys.argv[:] = [found.origin or name, *self.arguments]
            runpy.run_module(name, run_name="__main__", alter_sys=True)

        return run
